"""The image apps are built and run on, made from Debian packages without any image registry."""
