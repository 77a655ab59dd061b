// Package ratelimit limits how often a client may send requests. Start at Table.Limit, which creates a limit for the
// rules of a mount (exchange.Rules).
//
// # Algorithm
//
// A limit stores one number for each client, its theoretical arrival time (GCRA, the generic cell rate algorithm). This
// is the time at which the client would have sent its last request if the client had always waited for the interval of
// the rate. A request advances this time by one interval. If the time would then be more than Burst intervals after the
// present, the request exceeds the limit. Therefore a client may send Burst requests at once, and afterwards one
// request in each interval.
//
// # Table
//
// A Table is a file in memory that all workers of a server map. The supervisor creates the file (Create) and passes its
// descriptor to each worker, so that the Table survives reloads and upgrades. Each slot contains a hash of client and
// limit, and the theoretical arrival time. Workers change slots with atomic operations, without locks, so that a worker
// that crashes leaves no damage. If no slot is free for a new client, the new client replaces the client whose time is
// the earliest: a full table forgets clients, but never rejects any. The hash has a random key, so that nobody can
// choose addresses in order to replace certain clients. The clock is CLOCK_MONOTONIC, which all processes share. The
// clock of the event loop would be too coarse.
//
// The size of the file is sealed, because a process with a mapping crashes if another process shortens the file.
package ratelimit
