package exchange

// A List contains the exchanges of a connection in the order of their requests. An exchange can be in one List only.
// The zero value is an empty List.
type List struct{ First, Last *Exchange }

func (l *List) Add(x *Exchange) {
	if l.First == nil {
		l.First = x
	} else {
		l.Last.Next = x
	}
	l.Last = x
}

// Shift removes the first exchange and returns it. The List must not be empty.
func (l *List) Shift() *Exchange {
	x := l.First
	l.First, x.Next = x.Next, nil
	if l.First == nil {
		l.Last = nil
	}
	return x
}

// Replace puts y in the place of x.
func (l *List) Replace(x, y *Exchange) {
	at := &l.First
	for *at != x {
		at = &(*at).Next
	}
	*at, y.Next, x.Next = y, x.Next, nil
	if l.Last == x {
		l.Last = y
	}
}
