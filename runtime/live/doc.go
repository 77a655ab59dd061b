// Package live serves clients that stay connected: channels, event streams, WebSockets and tunnels.
//
// A channel has a name, subscribers, and past events for clients that reconnect (Last-Event-ID). The subscribers are
// clients of server-sent events (subscribers.go) or WebSockets (sockets.go).
//
// A Hub and a Fanout may be used only on the event loop, unless the comment of a method says otherwise
// (Fanout.Publish). An Event is immutable.
//
// # Publishing
//
// Fanout.Publish appends an event to an inbox, on any goroutine, and schedules a turn of the loop. Before a client
// joins a channel, the loop empties the inbox, because the client must not get events that were published earlier.
// Every batch reaches all its subscribers before the next batch begins. Therefore a subscriber of several channels gets
// events in the order of their numbers. While more than 16 MiB wait to be sent, Publish returns an error.
//
// # Slow subscribers
//
// A burst of events must not disconnect a client that reads as quickly as it can. The next batch therefore waits for
// subscribers that have not read the last batch (fanout.go), for up to five pauses of 2 ms.
//
// # Reconnecting
//
// The id of an event consists of the epoch, which is the time when numbering began, and the number of the event. A
// client that sends Last-Event-ID gets the events with larger numbers that its channels have kept. If the application
// sets the ids, the server searches the kept events for the id. If the id is unknown, the client gets all kept events.
//
// # Event streams
//
// The type Subscribers serves the clients that get the events of channels as server-sent events (HTML §9.2).
//
// A response becomes a stream of events in three steps. When the handler begins its response, Subscribe makes the
// client a StreamSubscriber of its channels. From then on events are queued, so that no event is lost. The rest of the
// response passes through a Sink (stream.go). After the last part, the StreamSubscriber becomes the protocol of the
// connection, and sends events as soon as the response has been written (Subscribers.serve in send.go). Without TLS,
// the StreamSubscriber moves the socket to a new Conn, which needs less memory than a connection with requests.
//
// One sendmsg sends several events to a subscriber.
//
// # Slow and vanished clients
//
// A subscriber is disconnected with RST if more than StreamConfig.Buffer bytes wait for it, or if it reads nothing for
// --write-timeout. TCP_USER_TIMEOUT is two heartbeat intervals: the kernel closes a connection whose client
// acknowledges nothing for this time.
//
// A client gets status 503 if its channel or its address has reached the limit of StreamConfig. Subscribers cannot use
// the last sixteenth of --max-clients, because they could otherwise occupy all connections for a long time. An error
// page never becomes a stream, even if the response has the field Fapws-Channel. The field is removed from responses of
// proxied servers, because an upstream must not decide who receives the events of this server.
//
// # Hand-over of subscribers
//
// When a server retires, its successor gets three things for each subscriber: the descriptor, the names of the
// channels, and the number of the last event that was sent. state.go explains why events are neither lost nor
// duplicated. A subscriber that has not read all of its events within a second is disconnected, because a partly sent
// event cannot be handed over.
//
// # WebSockets
//
// A Socket (socket.go) is the protocol of a connection that has become a WebSocket (RFC 6455). A Socket assembles
// frames of the client into messages for a handler, detects vanished clients by pings, and performs the closing
// handshake.
//
// Package fapws/runtime/websocket implements frames, permessage-deflate and handshakes, without input or output.
//
// A WebSocket is a long exchange: a request, a part that accepts the request, and messages, which the handler gets as
// inputs and sends as parts, until the last part. The handshake waits until the responses to earlier requests are
// complete. Data that follows the request is not parsed until the handler has accepted or refused the WebSocket,
// because only then is it known whether the data consists of frames.
//
//   - Reading. A message in one frame that arrives in one read is unmasked in place and delivered from the read buffer.
//     All other messages are assembled in a buffer that grows with the received bytes, not with the announced length.
//     The buffer is released with the message, so an idle WebSocket has no buffer. UTF-8 is checked as it arrives, so
//     an error is noticed early. Flow control is the same as for request bodies.
//   - Writing. Frames are gathered, so one system call writes all frames that a connection gets in a batch of events. A
//     message of more than 16 KiB is sent without a copy. While the output cannot be written, only the last pong is
//     kept, so a flood of pings from a client that does not read needs no memory.
//   - Closing. A client may send a message immediately before it closes the WebSocket or violates the protocol. The
//     handler's answer to this message is sent first. Therefore the server answers the close frame when the handler has
//     ended, or after a second. After a violation of the protocol, the close frame is sent on the next tick if a
//     message was delivered. After both close frames the loop shuts down its side and lingers, because closing at once
//     could destroy the last bytes. A client that does not answer a close frame is disconnected after 5 s.
//   - Pings are sent when no data has arrived for --ws-ping-interval; any data shows that the client is alive. The
//     server sends no ping on a connection while reading is paused or a large output is being written.
//   - Stop and reload. A WebSocket stays in its process. The close code is 1001 on stop, and 1012 (service restart) when
//     another process has taken over and SocketConfig.ReloadGrace has passed. Until then, the WebSocket gets messages
//     to its groups from all processes. From these codes, a script in a browser knows that the server restarts and
//     that it should reconnect. An endpoint must not send data after its own close frame (RFC 6455 §5.5.1), but the client may
//     send messages until it has received the server's close frame. The handler gets these messages until the client
//     has answered the close frame. Therefore every message reaches the handler, and a client that gets no answer gets
//     1001 or 1012 instead.
//
// Over HTTP/2 a WebSocket uses a virtual connection (package conn).
//
// # Groups
//
// A group is a channel. A message to a group is an event that is sent as a WebSocket frame. The frame is made once for
// all members, and a compressed frame once for each window size. Sending a message to a group needs neither Python nor
// the GIL, so a worker whose threads are all busy delivers the message as quickly as an idle worker. A message is never
// sent before the 101 response or after the close frame. Up to 1 MiB of messages wait for the 101 response. Messages to
// the groups of a client and messages of its handler keep their order, even if the client is slow. If the bytes that
// wait for a client exceed both 1 MiB and twice the maximum size of a message, its WebSocket is closed with 1013. Above
// half of this limit, the next batch waits for the client, as for a subscriber of events.
//
// # Tunnels
//
// A tunnel connects the client of a WebSocket request directly with an upstream (tunnel.go) or an application
// (relay.go), which implements the WebSocket protocol itself. Start reading at Tunnels.Offer.
//
// The connection keeps the bytes that the client sends after its request and before the response. If a tunnel begins,
// the tunnel forwards these bytes. Otherwise these bytes are the client's next request. Only Tunnel.Idle can end a
// tunnel without traffic.
package live
