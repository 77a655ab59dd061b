// Package sse serves the subscribers of channels: clients that get server-sent events (HTML, §9.2) on the event loop.
//
// A response to a client becomes a stream of events in three steps. Join makes the client a Subscriber of its channels when the
// handler begins its response, so that no event is lost; events wait. The handler's own response is written by the connection of the
// request, and Responded notes that it has ended. Then Attach and Start give the Subscriber the descriptor, and the connection is given back: there may be
// very many subscribers that do nothing, and each is only a small struct and a descriptor that the loop watches.
//
// Package pubsub decides which subscriber gets which events, and which events are kept for clients that come back. This package writes them,
// sends heartbeats, drops clients that do not read, and hands subscribers over to another process.
package sse
