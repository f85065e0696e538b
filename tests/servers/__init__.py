"""Real servers for tests, benchmarks and acceptance scripts: started from Maven Central jars, on 127.0.0.1 only.

`kafka.KafkaServer` and its like know nothing of pytest; the fixtures are in `plugin`.
"""
