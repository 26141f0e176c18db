"""What runs: the DAG, its settings, its gates, and the commands around them."""
