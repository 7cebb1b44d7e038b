"""What every experiment shares: training, sweeps, results, explorers and the look of figures."""
