"""Sources that are not listeners: files and what else a shipper reads. They keep the contract of ``listeners``."""
