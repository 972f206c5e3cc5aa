"""Programs of one trace: a producer, pipelines and a consumer, each in a process of its own.

    python -m tests.engines.traced_messages produce TOPIC TEXT
    python -m tests.engines.traced_messages pipeline ours|beams SUBSCRIPTION TOPIC --obs_...
    python -m tests.engines.traced_messages consume SUBSCRIPTION

Producer and consumer are what a user writes with Google's client and OpenTelemetry's SDK; nothing of beam_obs
is in them.
"""

from __future__ import annotations

import sys
import threading
from typing import Any


def tracing(service: str) -> Any:
    """Sets OpenTelemetry up, to send to where its variables say."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


def produce(topic: str, text: str) -> None:
    """Publishes a message within a span, and prints the id of its trace."""
    from google.cloud import pubsub
    from google.cloud.pubsub_v1.types import PublisherOptions
    from opentelemetry import trace

    provider = tracing("producer")
    publisher = pubsub.PublisherClient(publisher_options=PublisherOptions(enable_open_telemetry_tracing=True))
    with trace.get_tracer("shop").start_as_current_span("order") as span:
        publisher.publish(topic, text.encode()).result(30)
        print(f"{span.get_span_context().trace_id:032x}")
    provider.shutdown()


def consume(subscription: str) -> None:
    """Takes one message and prints its data."""
    from google.cloud import pubsub
    from google.cloud.pubsub_v1.types import SubscriberOptions

    provider = tracing("consumer")
    subscriber = pubsub.SubscriberClient(
        subscriber_options=SubscriberOptions(enable_open_telemetry_tracing=True)
    )
    done = threading.Event()

    def take(message: Any) -> None:
        print(message.data.decode())
        message.ack()
        done.set()

    pulled = subscriber.subscribe(subscription, take)
    done.wait(300)
    pulled.cancel()
    pulled.result(30)
    provider.shutdown()


def run_pipeline(read: str, subscription: str, topic: str, *options: str) -> None:
    """Hands messages on, until it is ended."""
    import apache_beam as beam

    import beam_obs as obs

    reads = {"ours": obs.ReadFromPubSub, "beams": beam.io.ReadFromPubSub}
    p = obs.Pipeline("DirectRunner", argv=["--streaming", *options])
    received = p | "receive" >> reads[read](subscription=subscription)
    _ = received | "double" >> beam.Map(double) | "send" >> obs.WriteToPubSub(topic)
    result = p.run()
    print("running", flush=True)
    result.wait_until_finish()


def double(data: bytes) -> bytes:
    """Returns twice a number."""
    return b"%d" % (2 * int(data))


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    {"produce": produce, "consume": consume, "pipeline": run_pipeline}[what](*arguments)
