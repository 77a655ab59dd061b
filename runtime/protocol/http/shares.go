package http

// Shares divides what unfinished requests need among the clients: descriptors, or memory. A client may take half of the free
// amount, so one client gets a third of Max, two get a quarter each, and some is left for the next client. Clients without a known
// address, "", may take the whole free amount.
type Shares struct {
	Max int64 // of all clients

	used    int64
	clients map[string]int64
	refused bool // a client waits for more
	freed   bool // since then, there is more
}

// Room returns how much more a client may have. It is below 0 for a client that has too much by now.
func (s *Shares) Room(client string) int64 {
	free := s.Max - s.used
	if client == "" {
		return free
	}
	return (free+1)/2 - s.clients[client]
}

// Add adds n, which may be negative, to what a client has.
func (s *Shares) Add(client string, n int64) {
	s.used += n
	s.freed = s.freed || n < 0 && s.refused
	switch has := s.clients[client] + n; {
	case has == 0:
		delete(s.clients, client)
	case s.clients == nil:
		s.clients = map[string]int64{client: has}
	default:
		s.clients[client] = has
	}
}

// takeFile counts a file for the body of x, or notes that x waits for one.
func (x *Exchange) takeFile() bool {
	files, client := &x.s.files, x.s.Host.Account(x)
	x.awaitsFile = files.Room(client) < 1
	if x.awaitsFile {
		files.refused = true
		return false
	}
	files.Add(client, 1)
	x.hasFile, x.fileOf = true, client
	return true
}

// giveFile counts it no longer, if there is one.
func (x *Exchange) giveFile() {
	if x.hasFile {
		x.hasFile = false
		x.s.files.Add(x.fileOf, -1)
	}
}

// EaseBodies lets bodies go on that have waited for a file, if there is one now.
func (s *Server) EaseBodies() {
	files := &s.files
	if !files.freed {
		return
	}
	files.freed, files.refused = false, false
	for _, x := range s.exchanges.all {
		if x.awaitsFile && x.Carrier != nil {
			x.Carrier.Credited(x, 0, true)
			files.refused = files.refused || x.awaitsFile
		}
	}
}
