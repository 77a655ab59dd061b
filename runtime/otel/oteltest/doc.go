// Package oteltest has a collector of spans for tests. It reads protobuf by the numbers of fields and shares no code
// with package otel. Start at Collect.
package oteltest
