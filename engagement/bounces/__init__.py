"""Why mail did not arrive: bounce classes, and bounces and complaints that come back as mail."""
