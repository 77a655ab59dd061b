// Package otel sends spans of requests to a collector of OpenTelemetry: one for each request of a client, and one for
// each request to an upstream. Start at Read, which reads the environment variables of OpenTelemetry, and at New.
//
// # Format
//
// Spans are sent over HTTP as protobuf (https://opentelemetry.io/docs/specs/otlp/). Each span is encoded when its
// request ends, and waits in this form, so that a request allocates no memory. The attributes are those of the semantic
// conventions for HTTP. Text from clients is shortened, and made valid UTF-8, because a collector would otherwise
// refuse the whole batch.
//
// # Queue
//
// Any client may ask for a span by the sampled flag of its traceparent. Therefore the queue has a limit of spans and of
// bytes, and an Exporter drops and counts the spans above these limits. A goroutine of the Exporter sends the spans in
// batches. A request never waits for the collector.
package otel
