"""Speed and error of the engine, beside others where they are installed."""
