// Package tracecontext continues the traces of W3C Trace Context (https://www.w3.org/TR/trace-context/): it gives the head of a
// request a valid field traceparent. From there everything has it that passes fields on: environ and scope, CGI and FastCGI,
// proxies, includes, logs.
//
// It works on bytes, without I/O. Tracer is used by package sites, Find by logs.
package tracecontext
