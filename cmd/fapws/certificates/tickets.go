package certificates

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"time"
)

const (
	// TicketPeriod is the time for which a key encrypts tickets.
	TicketPeriod = 4 * time.Hour

	// ticketKeys is the number of keys of the present and of earlier periods: a ticket lives for 20 to 24 hours.
	ticketKeys = 6
)

// Tickets derives the keys of session tickets, the same in all processes that have a copy: the time since the machine was
// started chooses the key (uptime). Each secret gives its key and the next secret, and is
// then forgotten, so nothing that a process has in memory decrypts a session that ended a day ago.
//
// The zero value has no keys; NewTickets has.
type Tickets struct {
	Period int64    // of Secret
	Secret []byte   // of the present period; nil: the zero value
	Past   [][]byte // secrets for keys of the periods before, the latest first
}

// NewTickets returns Tickets with a secret of their own.
func NewTickets() Tickets {
	t := Tickets{Period: period(uptime()), Secret: make([]byte, sha256.Size)}
	_, _ = rand.Read(t.Secret) // never fails
	return t
}

func period(since time.Duration) int64 { return int64(since / TicketPeriod) }

// newer reports whether t has secrets that other lacks: it is another chain, or further.
func (t *Tickets) newer(other *Tickets) bool {
	return t.Secret != nil && (other.Secret == nil || t.Period >= other.Period)
}

// Advance goes on to the present period.
func (t *Tickets) Advance() { t.advance(uptime()) }

// advance goes on to the period of the time since, and reports whether that is another one.
func (t *Tickets) advance(since time.Duration) bool {
	now := period(since)
	if t.Secret == nil || now <= t.Period {
		return false
	}
	for ; t.Period < now; t.Period++ {
		t.Past = append([][]byte{derive(t.Secret, "key")}, t.Past...)
		t.Secret = derive(t.Secret, "next secret")
	}
	t.Past = t.Past[:min(len(t.Past), ticketKeys-1)]
	return true
}

// keys returns the keys, the one that encrypts first. Other settings for client certificates (hash) have other keys, or
// a session could be resumed that would not be allowed now.
func (t *Tickets) keys(hash [sha256.Size]byte) (keys [][32]byte) {
	if t.Secret == nil {
		*t = NewTickets()
	}
	next := derive(derive(t.Secret, "next secret"), "key") // another process may have gone on a moment before
	for _, secret := range slices.Concat([][]byte{derive(t.Secret, "key"), next}, t.Past) {
		keys = append(keys, [32]byte(derive(secret, "for "+string(hash[:]))))
	}
	return keys
}

// derive makes a secret for one purpose of another one (RFC 5869).
func derive(secret []byte, purpose string) []byte {
	out, err := hkdf.Expand(sha256.New, secret, "fapws tickets: "+purpose, sha256.Size)
	if err != nil {
		panic(err) // only a length beyond 255 hashes is an error
	}
	return out
}
