package auth

import "testing"

// BenchmarkSession is what a request with a session costs more than one without.
func BenchmarkSession(b *testing.B) {
	p := newPlace(b)
	l := p.open(b)
	head, r := request(b, "Cookie: theme=dark; "+l.cookie+"="+l.token(l.newSession("ann"))+"\r\n")
	b.Run("fresh", func(b *testing.B) {
		for b.Loop() {
			if !l.Fresh() {
				l.Refresh()
			}
		}
	})
	b.Run("session", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := l.Session(head, r.Fields, false)
			if s == nil || l.Renew(s, false) != "" {
				b.Fatal("no session")
			}
		}
	})
}
