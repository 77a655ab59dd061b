// Package broker connects the channels of several servers through a stream of Redis or Valkey. The supervisor of each server has
// a Client, which takes the place of the numbering in package pool. Start reading at Client; its methods are safe for concurrent
// use.
//
// # Order
//
// A script in the broker (addScript) gives a batch of events its numbers and appends it to the stream, in one step. Every server,
// also the publisher, reads the stream and sends its clients the events that it finds there. So all servers have the same events
// in the same order, under the same ids: a client that comes back to another server with Last-Event-ID gets what it has missed.
//
// # A broker that is away
//
// Batches wait in memory, and leave in their order when the broker is back. A batch whose answer was lost is sent again, and the
// script refuses it if it is there: each server counts its batches. Reading goes on behind the last entry that was read. If the
// broker has lost its data, numbers go on with a distance above the last ones.
//
// The first connection is another matter: without a broker the next number is not known, so a server does not start without it. One that is
// upgraded knows it from the program before.
//
// # What is read
//
// Other programs may write to the broker, too. An entry that is none of fapws, or has numbers above those that the broker has given, is
// reported once and ignored (read.go): later events would seem to be old ones. Numbers and ids that no more can follow are replaced
// (addScript). If the ids of the stream go back, the reader begins again, and skips the numbers that it knows (read.go).
//
// # Keys
//
// With the prefix fapws: {fapws}:events is the stream, {fapws}:state a hash with the epoch and the last number, and
// {fapws}:sent:NODE how many batches a server has added. The braces keep them together in a cluster.
package broker
