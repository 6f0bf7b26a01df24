"""What the target of Alibaba Cloud's Log Service is made of: signatures, and events as log groups in protobuf."""
