"""What training and distilling cost, each way of saving beside its plain counterpart."""
