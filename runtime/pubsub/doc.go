// Package pubsub is channels without sockets: their names, their events and how these are written, the past events
// that are kept for clients that come back (Last-Event-ID), and the fan-out to subscribers. Package protocol/sse writes
// to clients of server-sent events, and package protocol/websocket to WebSockets (groups.go); both use this one engine.
// It imports only the standard library.
//
// A Hub and a Fanout belong to the event loop, except for the methods that say otherwise, such as Fanout.Publish. An
// Event does not change. Start reading at Hub (hub.go) and Fanout (fanout.go).
//
// # Publishing
//
// Fanout.Publish appends to an inbox, from any goroutine, and wakes the loop. The loop keeps the event in a ring of
// its channel (history.go) and makes batches of at most 16 KiB. One batch is given to all its subscribers before the
// next one begins. So a subscriber of several channels gets events in the order of their numbers, and the number of
// the last one says exactly what it has got. A turn of the loop serves at least four subscribers, and up to 256, or
// half a millisecond, as long as the poller has no other work: with slices of a fixed half millisecond, other clients
// waited for the slices. The older a batch is, the more of it a turn takes, or under full load it would never end.
//
// # Slow subscribers
//
// A burst is no reason to drop a client that reads as quickly as it can. The next batch waits for subscribers that
// are behind (pacer.go), five pauses of 2 ms, and longer as long as waits without success have not used up an
// allowance, which grows by a tenth of the time. A pause counts the same however long it takes, because on a busy
// machine clients get the processor as late as the server does. So clients that do not read delay others by no more
// than that. When more than 16 MiB wait to be sent, publishing is refused.
//
// # Coming back
//
// The id of an event is the epoch, the time when numbering began, and its number. A client that sends Last-Event-ID
// gets the events with later numbers that its channels keep. An id that the application has chosen is looked for in
// the rings; for an unknown one, everything kept is sent. A number that is still to come is believed, because another
// worker may have been quicker, unless it is a million ahead.
package pubsub
