package conn

import (
	"testing"

	"fapws/runtime/checktest"
)

func TestClientMayTakeHalfOfTheFreeShares(t *testing.T) {
	s := Shares{Max: 30}
	fill := func(client string) (n int64) {
		for s.Room(client) > 0 {
			s.Add(client, 1)
			n++
		}
		return n
	}
	a, b, c := fill("a"), fill("b"), fill("c")
	checktest.Truef(t, a == 10 && b == 7 && c >= 4, "%v %v %v", a, b, c)
	rest := fill("")
	checktest.Truef(t, s.used == s.Max && rest != 0 && s.Room("d") <= 0, "%v %v", rest, s.used)
	s.Add("a", -10)
	checktest.Truef(t, len(s.clients) == 2 && s.Room("d") == 5 && s.Room("b") <= 0, "%+v", s)
}
