package auth

import "time"

// memory remembers pairs of name and password by a keyed hash, at least the last size ones
// that were used: when the newer half is full, the older half is forgotten.
type memory struct {
	size         int
	newer, older map[key]remembered
}

// remembered is of the table that a pair was compared with, and may be told from a time on.
type remembered struct {
	of   *table
	from time.Duration
}

// key is a keyed hash of a pair, so that a copy of the memory shows no password.
type key [32]byte

// has reports whether a pair is remembered of a table, and may be told.
func (m *memory) has(k key, of *table, now time.Duration) bool {
	r, ok := m.newer[k]
	if !ok {
		if r, ok = m.older[k]; ok {
			m.add(k, r)
		}
	}
	return ok && r.of == of && now >= r.from
}

func (m *memory) add(k key, r remembered) {
	if len(m.newer) >= m.size || m.newer == nil {
		m.older, m.newer = m.newer, make(map[key]remembered)
	}
	m.newer[k] = r
}
