"""The exported model has to answer real requests before it is pushed."""
