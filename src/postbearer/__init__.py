"""Send mail through servers that accept OAuth 2.0 and nothing else."""
