"""Who reads the code: nobody (checks only), or a model behind an API."""
