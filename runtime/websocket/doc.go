// Package websocket implements the server side of the WebSocket protocol (RFC 6455), with the extension
// permessage-deflate (RFC 7692), on byte slices. The package does no I/O and starts no goroutine. Package live
// implements the behavior of a connection; package source/proxy uses the handshake.
//
// For the handshake, call Check and AcceptKey. To read, use a Decoder for each connection, and an Inflater that many
// connections can share. To write, use AppendFrame, AppendClose and a Deflater. Values are not safe for concurrent use.
// Package wstest contains cases from the Autobahn test suite.
//
// Compression is negotiated without context takeover. With context takeover, each connection would need a window of 32
// KiB for reading and about 1 MiB for writing. One Inflater and one Deflater serve all connections of a loop. Messages
// below 256 bytes and above 1 MiB are sent uncompressed: small messages would not become shorter, and compressing a
// large message would block the loop. Decompression stops at --ws-max-size.
package websocket
