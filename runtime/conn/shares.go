package conn

// Shares divides a limited resource, such as descriptors or memory, among the clients. A client may take more
// only while it has less than half of the amount that is still free. A single client therefore gets a third of Max, two
// clients get a quarter each, and some is always left for the next client. A client whose address is unknown, "", may
// take the whole free amount.
type Shares struct {
	Max     int64
	Awaited bool
	// called when a client returns a part of its share while Awaited is true; may be nil
	Eases func()

	used    int64
	clients map[string]int64
}

// Free returns how much more a client may take, or a negative number if the client has more than its share.
func (s *Shares) Free(client string) int64 {
	free := s.Max - s.used
	if client == "" {
		return free
	}
	return (free+1)/2 - s.clients[client]
}

// Fits reports whether a client may take n at once: afterwards, the client must have at most half of the amount that is
// then still free.
func (s *Shares) Fits(client string, n int64) bool {
	free := s.Max - s.used - n
	if client == "" {
		return free >= 0
	}
	return s.clients[client]+n <= (free+1)/2
}

func (s *Shares) Used() int64 { return s.used }

func (s *Shares) Held(client string) int64 { return s.clients[client] }

func (s *Shares) Add(client string, n int64) {
	s.used += n
	if n < 0 && s.Awaited && s.Eases != nil {
		s.Awaited = false
		s.Eases()
	}
	switch has := s.clients[client] + n; {
	case client == "":
	case has == 0:
		delete(s.clients, client)
	case s.clients == nil:
		s.clients = map[string]int64{client: has}
	default:
		s.clients[client] = has
	}
}
