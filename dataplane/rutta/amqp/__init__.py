"""AMQP 0-9-1 for publishing only (https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf): no queues, no consuming."""
