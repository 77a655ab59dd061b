package conn

// Shares divides a limited resource, such as descriptors, memory or places, among the clients. A client may take half
// of the free amount, so one client gets a third of Max, two get a quarter each, and some is left for the next client.
// Clients without a known address, "", may take the whole free amount.
type Shares struct {
	Max     int64
	Awaited bool
	Eases   func() // called when a share is free for a waiting client; may be nil

	used    int64
	clients map[string]int64
}

// Room returns how much more a client may take. Room is negative if the client has more than its share.
func (s *Shares) Room(client string) int64 {
	free := s.Max - s.used
	if client == "" {
		return free
	}
	return (free+1)/2 - s.clients[client]
}

// Of returns how much client has taken; 0 for "".
func (s *Shares) Of(client string) int64 { return s.clients[client] }

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
