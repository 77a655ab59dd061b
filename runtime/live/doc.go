// Package live has what stays open: channels, event streams and WebSockets.
//
// Channels have no sockets: names, events and how these are written, the past events that are kept for clients that come
// back (Last-Event-ID), and the fan-out to subscribers, which are clients of server-sent events or WebSockets (sockets.go).
//
// A Hub and a Fanout belong to the event loop, except for the methods that say otherwise, such as Fanout.Publish. An
// Event does not change. Start reading at Hub (hub.go) and Fanout (fanout.go).
//
// # Publishing
//
// Fanout.Publish appends to an inbox, from any goroutine, and posts a turn to the loop. That keeps the event in a ring of
// its channel (event.go) and makes batches of at most 16 KiB. A client that joins has the inbox emptied before: what was
// published earlier is past for it. One batch is given to all its subscribers before the
// next one begins. So a subscriber of several channels gets events in the order of their numbers, and the number of
// the last one says exactly what it has got. A turn of the loop serves at least four subscribers, and up to 256, or
// half a millisecond, as long as the poller has no other work: with slices of a fixed half millisecond, other clients
// waited for the slices. The older a batch is, the more of it a turn takes, or under full load it would never end.
//
// # Slow subscribers
//
// A burst is no reason to drop a client that reads as quickly as it can. The next batch waits for subscribers that
// are behind (fanout.go), five pauses of 2 ms, and longer as long as waits without success have not used up an
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
//
// # Event streams
//
// Subscribers serves the clients of channels, which get server-sent events (HTML, §9.2) on the event loop.
// It writes events, sends heartbeats, drops clients that do not read, and hands subscribers over to another process.
// Channels decide which subscriber gets which events, and which events are kept for clients that come back.
// Start reading at Subscribers, Subscribe and Subscriber; package runtime has the Loop (runtime/accepting.go, live.go).
//
// A response becomes a stream of events in three steps. Subscribe makes the client a StreamSubscriber of its channels when
// the handler begins its response, so no event is lost; events wait. The rest of the handler's response passes through
// a Sink (stream.go), which adds the part that gives the connection away. The subscriber is the protocol of that connection from then on,
// and begins when everything before the events is written (Subscribers.serve in send.go). Without TLS it goes on with a connection of its
// own of the same socket, which needs half the memory of one with requests.
//
// # Cost
//
// There may be very many subscribers that do nothing, and each is 500 bytes of Go's memory, its connection included; an idle
// connection of a client takes 550 (go test -v -run AreSmall ./runtime). With 10,000 of them on one CPU
// (./build.sh bench subscribers): 0.5 to 0.6 KiB each, 0.8 with an access log; no CPU while nothing happens; 60 ms
// until all have an event; the p99 of hello the same as without subscribers, or up to 1.6 times on a machine with
// other work. Several events for one subscriber leave in one sendmsg, from the bytes that all subscribers share; the
// rest that a socket does not take is a list of pointers to them.
//
// # Clients that do not read, or vanish
//
// A subscriber for which more than --channel-buffer waits, or that takes nothing for --write-timeout (as for all connections), is dropped with
// RST; SO_SNDBUF bounds the bytes that the kernel keeps in addition. TCP_USER_TIMEOUT is two heartbeats, counted from
// the first one that is not acknowledged. Heartbeats come when nothing else was sent for half the interval to all
// of it, so that those of many subscribers are spread.
//
// The limits of StreamConfig for channels and for addresses answer 503, and so does the last sixteenth of --max-clients: subscribers
// stay, and without this reserve they could take every connection. An error page is never a stream, whatever its
// fields say. The field Fapws-Channel of programs counts; that of a proxied server is removed, because it may not
// decide which subscribers receive the events of this one.
//
// # Hand-over
//
// When a server retires, its successor gets a subscriber as its descriptor, its channels and the number up to which it
// was given all of their events (export in handover.go gives all kinds of clients away; state.go has the conditions under which nothing is lost and nothing comes twice). A
// test moves subscribers four times while two publishers continue. A successor that has forgotten a later event ends
// the stream, so the client reconnects. A subscriber that has not taken everything within a second is dropped, because
// half an event cannot be handed over. Its line in the access log moves, too.
//
// # WebSockets
//
// A Socket (socket.go) is the protocol of a connection that has become a WebSocket (RFC 6455): frames of the client
// become messages for a handler, pings find out whether a silent client is there, and both sides end it by a close
// frame, in either order.
//
// Frames, permessage-deflate and handshakes themselves are those of fapws/runtime/websocket, which is pure. All
// methods must be called on the event loop, unless they say otherwise. Start reading at socket.go: a Socket is the
// protocol of a connection (conn.Protocol), and session.go its state machine. Sockets are all of a loop.
//
// A WebSocket is an exchange that lasts: a request, a part that accepts it, then messages as inputs and parts, until
// the last part. A handler gets whole messages. The handshake waits for the requests before it, and what follows
// waits for its answer, because it may be frames. Ordinary requests pay two comparisons.
//
//   - Reading. A message that came in one frame and one read is unmasked in place and delivered from the read buffer.
//     Others are put together in a buffer that grows with the bytes that have arrived, not with the length that was
//     announced, and is given up with the message: an idle WebSocket has none, and costs 1.2 KiB more than an idle
//     connection (go test -v -run AreSmall ./runtime). Text is checked byte by byte as it arrives, so an error is
//     noticed early. Flow control is that of bodies.
//   - Writing. Frames are gathered with all other output, for one write for each connection and batch. A message of
//     more than 16 KiB is sent from where it is. Of pongs that wait only the last is kept, so a client that floods
//     and does not read is paused, or gets nothing but that one.
//   - Closing. A client that closes, or breaks the protocol, may have sent a message just before, whose answer goes
//     first: a close frame is answered when the handler has ended, or after a second; a broken connection, if a
//     message was delivered, on the next tick. After both close frames the loop shuts down its side and lingers,
//     because closing at once may destroy the bytes sent last. A client that does not answer a close frame is closed
//     after 5 s.
//   - Pings go out when nothing has come for --ws-ping-interval; anything that comes then counts as a sign of life. A
//     connection that is paused, or is being written to, is not asked.
//   - Stop and reload. 1001 on stop, 1012 (service restart) when another process takes over and the WebSocket cannot
//     go along: the code of browsers tells "reconnect" from "closed for good". RFC 6455 §5.5.1 forbids data only
//     behind one's own close frame, so messages may cross ours: they are delivered until the client has answered it.
//     A message is thus answered, or delivered and followed by 1001 or 1012, and never lost without a trace.
//
// Over HTTP/2 the connection is a virtual one (package conn), and a Socket does not know. It cannot move to another process.
//
// Measured with a handler in Go that echoes on the loop (go test -bench WebSocketEcho ./runtime), CPU of the loop for
// a message: 2.5 µs with 64 clients and 32 bytes or 1 KiB, 0.27 µs when 16 come at once, 6.5 µs for 16 KiB (nearly
// all of it recv and send), 10 µs for 1 KiB that is inflated and deflated. No allocation.
//
// # Groups
//
// A group is a channel, and a message to it an event whose wire form is a frame, made once;
// compressed, once for each size of window. It needs no Python and no GIL, so a worker whose threads are all busy
// delivers as quickly as an idle one. A message never comes before the 101 (up to 1 MiB wait for it), nor behind the
// close frame. A client that is behind gets messages to its groups in order with the messages of its handler. When
// more than 1 MiB, or two of the largest messages, wait for it, it is closed with 1013; until then others are waited
// for as subscribers are. What counts is memory: 432 bytes more for each message. A message of 100 bytes costs 0.35 µs of
// CPU for each of 3,000 clients if 20 come at once; when each client got a part from C, it was 6.8 µs.
//
// # Hand-over
//
// A WebSocket whose mount has a Group (fapws.WebSocket) moves to another process between two messages. The loop stops
// reading, and puts OpHandOver behind the messages that the handler was given. So a Python thread answers, between
// two callbacks and with the GIL: the WebSocket may go if the application does not hold its object, and its data is
// plain. The answer is the last part, behind everything that was sent before, so no output goes along; bytes that
// were read and are not a whole message do. Compression has no context between two messages.
//
// The new server parses and routes the request again, without asking for a password, and submits it with
// Request.Resumed; no 101 is written. Position and groups let it continue the messages to groups without a gap;
// Hub.Complete reports when it has not kept enough of them. A WebSocket that it cannot resume goes back to
// the old server, which closes it with 1012 and gives it back to its handler: so on_close is called in exactly one
// process. A handler that has let go of a WebSocket whose client has left gets it back on a connection that ends at
// once, for the same reason. At most 64 are resumed at a time, so --max-queue is never
// reached. A test replaces two workers again and again while 200 clients echo and broadcast: no message is lost,
// doubled or out of order, and no client is closed.
package live
