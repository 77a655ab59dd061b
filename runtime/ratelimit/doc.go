// Package ratelimit limits how often a client may send requests. Start at Table.Limit, which makes a limit for the
// rules of a mount (exchange.Rules).
//
// # Algorithm
//
// A limit stores one number for each client, its theoretical arrival time (GCRA, the generic cell rate algorithm): the
// time at which the client would have sent its last request if it had always waited for the interval of the rate. A
// request moves this time forward by one interval. The request exceeds the limit if the time is then more than Burst
// intervals after the present. So a client may send Burst requests at once, and afterwards one in each interval.
//
// # Table
//
// A Table is a file in memory that all workers of a server map. The supervisor creates it (Create) and passes its
// descriptor to each worker, so that it survives reloads and upgrades. A slot has a hash of the client and of the
// limit, and the time. Workers change both with atomic operations, without locks, so a worker that crashes leaves no
// damage. If all slots for a new client are used, the client replaces the one whose time is the earliest: a full table
// forgets clients, and never refuses any. The hash has a random key, so that nobody can choose addresses that replace
// others. The clock is CLOCK_MONOTONIC, which all processes share. The clock of the event loop would be too coarse.
//
// The size of the file is sealed, because a process with a mapping crashes if another process shortens the file.
package ratelimit
