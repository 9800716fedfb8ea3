"""All that knows MaxText, Tunix and Orbax."""
