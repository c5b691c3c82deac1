"""The pages that change something: domains, keys, users; and the state of the pipeline."""
