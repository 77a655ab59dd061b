// Package sse serves the subscribers of channels: clients that get server-sent events (HTML, §9.2) on the event loop.
// It writes events, sends heartbeats, drops clients that do not read, and hands subscribers over to another process.
// Package pubsub decides which subscriber gets which events, and which events are kept for clients that come back.
// Start reading at Subscribers, Subscribe and Subscriber; package runtime is the Host (channels.go).
//
// A response becomes a stream of events in three steps. Subscribe makes the client a Subscriber of its channels when
// the handler begins its response, so no event is lost; events wait. The rest of the handler's response passes through
// a Sink (response.go), which adds the part that gives the connection away. The connection then speaks a protocol that
// waits until everything is written (end.go), and the Subscriber gets its descriptor.
//
// # Cost
//
// There may be very many subscribers that do nothing, and each is only 256 bytes of Go's memory and a descriptor that
// the loop watches; an idle connection takes 550 (go test -v -run AreSmall ./runtime). With 10,000 of them on one CPU
// (./build.sh bench subscribers): 0.4 to 0.6 KiB each, 0.8 with an access log; no CPU while nothing happens; 60 ms
// until all have an event; the p99 of hello the same as without subscribers, or up to 1.6 times on a machine with
// other work. Several events for one subscriber leave in one sendmsg, from the bytes that all subscribers share; the
// rest that a socket does not take is a list of pointers to them.
//
// # Clients that do not read, or vanish
//
// A subscriber for which more than --channel-buffer waits, or that takes nothing for --write-timeout, is dropped with
// RST; SO_SNDBUF bounds the bytes that the kernel keeps in addition. TCP_USER_TIMEOUT is two heartbeats, counted from
// the first one that is not acknowledged. Heartbeats are spread over all ticks, and left out where an event was sent
// lately.
//
// Limits for channels and for addresses answer 503, and so does the last sixteenth of --max-clients: subscribers
// stay, and without this reserve they could take every connection. An error page is never a stream, whatever its
// fields say. The field Fapws-Channel of programs counts; that of a proxied server is removed, because it may not
// decide which subscribers receive the events of this one.
//
// # Hand-over
//
// When a server retires, its successor gets a subscriber as its descriptor, its channels and the number up to which it
// was given all of their events (state.go has the conditions under which nothing is lost and nothing comes twice). A
// test moves subscribers four times while two publishers continue. A successor that has forgotten a later event ends
// the stream, so the client reconnects. A subscriber that has not taken everything within a second is dropped, because
// half an event cannot be handed over. Its line in the access log moves, too.
package sse
