"""From decoded pictures to an exported model."""
