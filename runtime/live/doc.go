// Package live serves clients that stay connected: channels, event streams and WebSockets.
//
// Channels have no sockets. Channels consist of names, events in their transmitted form, past events for clients that
// reconnect (Last-Event-ID), and the fan-out to subscribers, which are clients of server-sent events or WebSockets
// (sockets.go).
//
// A Hub and a Fanout belong to the event loop, except for methods that say otherwise, such as Fanout.Publish. An Event
// does not change.
//
// # Publishing
//
// Fanout.Publish appends an event to an inbox, on any goroutine, and schedules a turn of the loop. The turn adds the
// event to a ring of its channel (event.go) and makes batches of at most 16 KiB. The inbox is emptied before a client
// joins, because the client gets only events that are published later. All subscribers of a batch get it before the
// next batch begins. Therefore a subscriber of several channels gets events in the order of their numbers, and the
// number of its last event tells which events it has received. A turn serves at least four and at most 256 subscribers,
// for at most half a millisecond, and ends earlier if the poller has other work.
//
// # Slow subscribers
//
// A burst of events must not disconnect a client that reads as quickly as it can. The next batch therefore waits for
// subscribers that are behind (fanout.go), for five pauses of 2 ms. The fan-out may wait longer from an allowance,
// which refills at a tenth of real time; a wait that ends without success is deducted. Clients that do not read thus
// delay other clients only by a limited time. A pause counts as 2 ms even if it takes longer, because on a busy machine
// the clients are also delayed. While more than 16 MiB wait to be sent, Publish returns an error.
//
// # Reconnecting
//
// The id of an event consists of the epoch, which is the time when numbering began, and the number of the event. A
// client that sends Last-Event-ID gets the events with later numbers that its channels keep. An id from the application
// is searched in the rings; for an unknown id, all kept events are sent.
//
// # Event streams
//
// Subscribers serves the clients of channels, which get server-sent events (HTML §9.2), on the event loop. Subscribers
// writes events, sends heartbeats, disconnects clients that do not read, and hands subscribers over to another process.
//
// A response becomes a stream of events in three steps. Subscribe makes the client a StreamSubscriber of its channels
// when the handler begins its response, and queues events, so that no event is lost. The rest of the response passes
// through a Sink (stream.go), whose last part hands the connection over. From then on the subscriber is the protocol of
// the connection, and sends events after the response was written (Subscribers.serve in send.go). Without TLS it
// continues with a separate connection of the same socket, which needs less memory than a connection with requests.
//
// Several events for one subscriber are sent by one sendmsg, from bytes that all subscribers share.
//
// # Slow and vanished clients
//
// A subscriber is disconnected with RST if more than --channel-buffer waits for it, or if it reads nothing for
// --write-timeout, like all connections. SO_SNDBUF bounds the bytes that the kernel keeps in addition. TCP_USER_TIMEOUT
// is two heartbeat intervals: the kernel closes a connection whose client acknowledges nothing for this time. A
// heartbeat is sent after at least half the interval without other data, at times that differ between subscribers.
//
// A client gets status 503 if its channel or its address has reached the limit of StreamConfig. The last sixteenth of
// --max-clients is reserved for other clients, because subscribers could otherwise occupy all connections for a long
// time. An error page is never a stream, even if its fields ask for one. A program may send the field Fapws-Channel.
// The field is removed from responses of proxied servers, because they must not choose the subscribers of this server's
// events.
//
// # Hand-over of subscribers
//
// When a server retires, its successor gets the descriptor of each subscriber, the names of its channels and the number
// of the last event that was sent to it. The function export in handover.go hands over both subscribers and WebSockets;
// state.go has the conditions under which events are neither lost nor duplicated. A successor that no longer has all
// later events ends the stream, so that the client reconnects. A subscriber that has not read everything within a
// second is disconnected, because half an event cannot be handed over.
//
// # WebSockets
//
// A Socket (socket.go) is the protocol of a connection that has become a WebSocket (RFC 6455). A Socket assembles
// frames of the client into messages for a handler, detects vanished clients by pings, and exchanges close frames at
// the end.
//
// Package fapws/runtime/websocket implements frames, permessage-deflate and handshakes, without input or output.
// Sockets contains all WebSockets of a loop.
//
// A WebSocket is a long exchange: a request, a part that accepts it, then messages as inputs and parts, until the last
// part. A handler gets whole messages. The handshake waits for earlier requests. Data after the request waits for the
// handler's answer, because it may consist of frames.
//
//   - Reading. A message in one frame that arrives in one read is unmasked in place and delivered from the read buffer.
//     Other messages are assembled in a buffer that grows with the bytes that have arrived, not with the announced
//     length, and is released with the message: an idle WebSocket has no buffer. Text is checked as it arrives, so an
//     error is noticed early. Flow control is the same as for bodies.
//   - Writing. Frames are gathered with other output, for one write for each connection and batch. A message of more
//     than 16 KiB is sent without a copy. Only the last waiting pong is kept, so a client that floods and does not read
//     is paused, or gets only this pong.
//   - Closing. A client may send a message immediately before it closes the WebSocket or breaks the protocol. The
//     answer to this message is sent first. Therefore a close frame is answered when the handler has ended, or after a
//     second.
//
// After a violation of the protocol, the close frame is sent on the next tick if a message was delivered. After both
//
// close frames the loop shuts down its side and lingers, because closing at once may destroy the bytes sent last. A
//
//	  client that does not answer a close frame is disconnected after 5 s.
//	- Pings are sent when no data has arrived for --ws-ping-interval; any data shows that the client is alive. A
//	  connection that is paused, or that is being written to, gets no ping.
//	- Stop and reload. The close code is 1001 on stop, and 1012 (service restart) when another process takes over and
//	  the WebSocket cannot move: code in browsers distinguishes "reconnect" from "closed for good". RFC 6455 §5.5.1
//
// forbids data only after one's own close frame, so messages of the client may cross the server's close frame. They
//
//	are delivered until the client has answered it. Therefore a message is answered, or delivered and followed by
//	1001 or 1012, and never lost without notice.
//
// Over HTTP/2 the connection is virtual (package conn). A Socket works over it without changes, but cannot move to
// another process.
//
// # Groups
//
// A group is a channel. A message to a group is an event whose transmitted form is a WebSocket frame, made once for all
// members; a compressed frame is made once for each window size. Messages to groups need no Python and no GIL, so a
// worker whose threads are all busy delivers them as quickly as an idle worker. A message is never sent before the 101
// or after the close frame; up to 1 MiB of messages wait for the 101. A slow client gets messages to its groups in
// order with the messages of its handler. If more than 1 MiB, or two of the largest messages, wait for a client, its
// WebSocket is closed with 1013. Below this limit the next batch waits for the client, as for a subscriber.
//
// # Hand-over of WebSockets
//
// A WebSocket whose mount has a Group (fapws.WebSocket) moves to another process between two messages. The loop stops
// reading, and adds OpHandOver after the messages that the handler was given. A Python thread answers between two
// callbacks, with the GIL. The WebSocket may move if the application holds no reference to its object and its data
// consists of plain values. The answer is the last part, after all earlier output, so the only bytes to hand over are
// the beginning of an incomplete message.
//
// The new server parses and routes the request again, without requesting a password, and submits it with
// Request.Resumed; no 101 is written. The WebSocket's groups and the number of its last message allow the new server to
// continue without a gap. Hub.Complete reports whether the Hub has kept enough messages. A WebSocket that the new
// server cannot resume returns to the old server. The old server closes it with 1012 and returns it to its handler, so
// that on_close is called in exactly one process. For the same reason, if the client of a released WebSocket has
// disconnected, the handler gets the WebSocket back with a connection that ends at once.
package live
