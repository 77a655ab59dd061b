package conn

import "testing"

func TestClientMayTakeHalfOfTheFreeShares(t *testing.T) {
	s := Shares{Max: 30}
	fill := func(client string) (n int64) {
		for s.Room(client) > 0 {
			s.Add(client, 1)
			n++
		}
		return n
	}
	if a, b, c := fill("a"), fill("b"), fill("c"); a != 10 || b != 7 || c < 4 {
		t.Error(a, b, c)
	}
	if rest := fill(""); s.used != s.Max || rest == 0 || s.Room("d") > 0 {
		t.Error(rest, s.used)
	}
	s.Add("a", -10)
	if len(s.clients) != 2 || s.Room("d") != 5 || s.Room("b") > 0 {
		t.Errorf("%+v", s)
	}
}
