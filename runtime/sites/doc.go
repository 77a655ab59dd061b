// Package sites has the sites of a server: names of hosts, mounts that bind paths to sources, and rules. For each exchange
// it decides which mount answers, checks passwords and addresses, has the source start, and writes the access log.
//
// Sites is the Host of package protocol/http (host.go). Exchange embeds the one of that package, and Client a connection of
// protocol/http1, and they add what a site has to know of them. All methods must be called on the event loop, unless they say
// otherwise. Start reading at sites.go, host.go and decide.go.
//
// The request and the decision so far are in exchange.go. Two results come from beside the loop, and a Decision of package route
// asks for them (NeedsLookup, NeedsPassword): whether a file exists and whether a password is right. While an application loads,
// exchanges for it wait for other sites (decide.go); a decision of former sites is made again. Other exchanges wait for
// their turn, for the rest of a body, or for a page that another one fetches. Each keeps a copy of head and path, and continues
// where it was: the head is parsed once and routed once. Two heads are parsed again, because that costs less (0.4 to 1 µs, 3.6
// for the fields of a browser) than a kilobyte for the parsed fields of each request: one that arrives while others must be
// answered first, and one for which Python names a file. All exchanges that do not wait use one request of the loop, so they
// cost no allocation.
package sites
