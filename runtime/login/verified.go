package login

import "sync"

// verifiedTokens remembers tokens that were verified, at least the last maxVerified that were used: two MACs take as long as a small
// response. Its methods are safe for concurrent use.
type verifiedTokens struct {
	mu           sync.Mutex
	newer, older map[string]*verifiedToken
}

// verifiedToken is a session that a token is for as long as its user has this hash.
type verifiedToken struct {
	session *Session
	hash    string
}

// maxVerified bounds the memory: an entry has about 400 bytes.
const maxVerified = 256

// find returns the session of a token, nil if it has to be verified.
func (v *verifiedTokens) find(token []byte, l *Login) *Session {
	v.mu.Lock()
	defer v.mu.Unlock()
	one := v.newer[string(token)]
	if one == nil {
		if one = v.older[string(token)]; one == nil {
			return nil
		}
		v.put(string(token), one)
	}
	if l.users.Hash(one.session.User) != one.hash {
		return nil
	}
	return one.session
}

func (v *verifiedTokens) add(token string, one *verifiedToken) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.put(token, one)
}

// put remembers a token. mu is held.
func (v *verifiedTokens) put(token string, one *verifiedToken) {
	if v.newer == nil || len(v.newer) >= maxVerified {
		v.older, v.newer = v.newer, map[string]*verifiedToken{}
	}
	v.newer[token] = one
}
