package pool

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"fapws/cmd/fapws/pool/redistest"
	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

// A testCluster is three masters.
type testCluster struct {
	t     *testing.T
	nodes []redis.Conn
	hosts []string
	ids   []string
}

func startCluster(t *testing.T) *testCluster {
	t.Helper()
	c := &testCluster{t: t}
	const masters, slots = 3, 16384
	for i := range masters {
		s := redistest.Start(t, "--cluster-enabled", "yes", "--cluster-port", redistest.PortOf(redistest.FreeAddress(t)))
		conn := checktest.Try(redis.Dial("tcp", s.Address)).Must(t)
		t.Cleanup(func() { conn.Close() })
		c.nodes, c.hosts = append(c.nodes, conn), append(c.hosts, s.Address)
		c.ids = append(c.ids, checktest.Try(redis.String(conn.Do("CLUSTER", "MYID"))).Must(t))
		c.do(i, "ADDSLOTSRANGE", slots*i/masters, slots*(i+1)/masters-1)
		c.do(i, "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			bus := checktest.Try(redis.Strings(c.nodes[0].Do("CONFIG", "GET", "cluster-port"))).Must(t)[1]
			c.do(i, "MEET", "127.0.0.1", redistest.PortOf(c.hosts[0]), bus)
		}
	}
	for i := range masters {
		checktest.Eventually(t, "the nodes know each other", func() bool {
			info := checktest.Try(redis.String(c.nodes[i].Do("CLUSTER", "INFO"))).Must(t)
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_size:3")
		})
	}
	return c
}

func (c *testCluster) do(node int, args ...any) any {
	c.t.Helper()
	return checktest.Try(c.nodes[node].Do("CLUSTER", args...)).Must(c.t)
}

func TestClusterIsRefusedByOneLineWithoutItsURL(t *testing.T) {
	c := startCluster(t)
	refused := 0
	for _, host := range c.hosts {
		a := checktest.Try(ParseBroker("redis://" + host)).Must(t)
		b, err := ConnectBroker(a, "", 0, func(logfile.Level, string) {})
		if err == nil {
			b.Close(0)
			continue
		}
		refused++
		checktest.Truef(t, strings.Contains(err.Error(), "MOVED ") &&
			strings.Contains(err.Error(), "(give redis+cluster://HOST:PORT,HOST:PORT"), "%v", err)
	}
	checktest.Equalf(t, refused, 2, "nodes without the keys")

	single := redistest.Start(t)
	a := checktest.Try(ParseBroker("redis+cluster://" + single.Address)).Must(t)
	_, err := ConnectBroker(a, "", 0, func(logfile.Level, string) {})
	checktest.Truef(t, err != nil && strings.Contains(err.Error(), "cluster support disabled") &&
		!strings.Contains(err.Error(), "\n"), "%v", err)
}

// The keys move from one master to another one while two servers publish events: each event comes once, and in the same
// order on both servers.
func TestEventsContinueWhileAClusterMovesTheirKeys(t *testing.T) {
	c := startCluster(t)
	url := "redis+cluster://" + redistest.FreeAddress(t) + "," + c.hosts[0] // the first node does not answer
	servers := []*node{dialURL(t, url).start(), dialURL(t, url).start()}
	published := 0
	publish := func() {
		for range 20 {
			servers[published%2].Publish(Batch{N: 1, Raw: fmt.Append(nil, published)})
			published++
		}
	}
	publish()
	slot := checktest.Try(redis.Int(c.do(0, "KEYSLOT", "{fapws}:events"), nil)).Must(t)
	from, to := -1, 0
	for i := range c.nodes {
		if n := checktest.Try(redis.Int(c.do(i, "COUNTKEYSINSLOT", slot), nil)).Must(t); n > 0 {
			from, to = i, (i+1)%len(c.nodes)
		}
	}
	checktest.Needf(t, from >= 0, "no node has the keys")
	c.do(to, "SETSLOT", slot, "IMPORTING", c.ids[from])
	c.do(from, "SETSLOT", slot, "MIGRATING", c.ids[to])
	publish()
	keys := checktest.Try(redis.Values(c.do(from, "GETKEYSINSLOT", slot, 100), nil)).Must(t)
	move := redis.Args{"127.0.0.1", redistest.PortOf(c.hosts[to]), "", 0, 5000, "KEYS"}.Add(keys...)
	checktest.Try(c.nodes[from].Do("MIGRATE", move...)).Must(t)
	publish()
	for _, i := range []int{to, from, 3 - from - to} {
		c.do(i, "SETSLOT", slot, "NODE", c.ids[to])
	}
	publish()
	var order []string
	for range published {
		order = append(order, string((<-servers[0].batches).Raw))
	}
	seen := map[string]bool{}
	for _, text := range order {
		checktest.Truef(t, !seen[text], "event %s came twice", text)
		seen[text] = true
		servers[1].gets(t, text)
	}
}
