"""The console command `lookdeep`, one file a command. Only here is click imported."""
