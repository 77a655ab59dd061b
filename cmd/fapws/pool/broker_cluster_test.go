package pool

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"fapws/cmd/fapws/pool/redistest"
	"fapws/runtime/checktest"
	"fapws/runtime/logfile"
)

// A testCluster is three masters, and then their replicas, if any.
type testCluster struct {
	t       *testing.T
	servers []*redistest.Server
	nodes   []redis.Conn
	hosts   []string
	ids     []string
}

const masters, slots = 3, 16384

func startCluster(t *testing.T) *testCluster {
	t.Helper()
	c := &testCluster{t: t}
	for i := range masters {
		c.addNode()
		c.do(i, "ADDSLOTSRANGE", slots*i/masters, slots*(i+1)/masters-1)
		c.do(i, "SET-CONFIG-EPOCH", i+1)
		if i > 0 {
			c.join(i)
		}
	}
	for i := range masters {
		c.knows(i, "cluster_state:ok", "cluster_size:3")
	}
	return c
}

// addNode starts a node.
func (c *testCluster) addNode() {
	c.t.Helper()
	s := redistest.Start(c.t, "--cluster-enabled", "yes", "--cluster-port", redistest.PortOf(redistest.FreeAddress(c.t)),
		"--cluster-node-timeout", "1000")
	conn := checktest.Try(redis.Dial("tcp", s.Address)).Must(c.t)
	c.t.Cleanup(func() { conn.Close() })
	c.servers, c.nodes, c.hosts = append(c.servers, s), append(c.nodes, conn), append(c.hosts, s.Address)
	c.ids = append(c.ids, checktest.Try(redis.String(conn.Do("CLUSTER", "MYID"))).Must(c.t))
}

// join joins a node to the first one.
func (c *testCluster) join(node int) {
	c.t.Helper()
	bus := checktest.Try(redis.Strings(c.nodes[0].Do("CONFIG", "GET", "cluster-port"))).Must(c.t)[1]
	c.do(node, "MEET", "127.0.0.1", redistest.PortOf(c.hosts[0]), bus)
}

// addReplicas gives each master a replica.
func (c *testCluster) addReplicas() {
	c.t.Helper()
	for i := range masters {
		c.addNode()
		c.join(masters + i)
		c.knows(masters+i, "cluster_state:ok", "cluster_size:3")
		c.do(masters+i, "REPLICATE", c.ids[i])
	}
	for i := range masters {
		checktest.Eventually(c.t, "the replica has the data", func() bool {
			info := checktest.Try(redis.String(c.nodes[masters+i].Do("INFO", "replication"))).Must(c.t)
			return strings.Contains(info, "master_link_status:up")
		})
		c.knows(i, fmt.Sprint("cluster_known_nodes:", 2*masters))
	}
}

// knows waits until a node knows what the texts say of the cluster.
func (c *testCluster) knows(node int, texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		checktest.Eventually(c.t, "the nodes know each other", func() bool {
			return strings.Contains(checktest.Try(redis.String(c.nodes[node].Do("CLUSTER", "INFO"))).Must(c.t), text)
		})
	}
}

// owner returns the master with the keys of the events, and their slot.
func (c *testCluster) owner() (node, slot int) {
	c.t.Helper()
	slot = checktest.Try(redis.Int(c.do(0, "KEYSLOT", "{fapws}:events"), nil)).Must(c.t)
	node = -1
	for i := range masters {
		if n := checktest.Try(redis.Int(c.do(i, "COUNTKEYSINSLOT", slot), nil)).Must(c.t); n > 0 {
			node = i
		}
	}
	checktest.Needf(c.t, node >= 0, "no node has the keys")
	return node, slot
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
	from, slot := c.owner()
	to := (from + 1) % masters
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

// The master with the keys dies while two servers publish. Its replica takes over, with all events that it had received:
// only those of the last moment may be lost, and only on a server that has not read them before.
func TestEventsContinueWhenAReplicaOfAClusterTakesOver(t *testing.T) {
	c := startCluster(t)
	c.addReplicas()
	url := "redis+cluster://" + strings.Join(c.hosts[:masters], ",")
	servers := []*node{dialURL(t, url).start(), dialURL(t, url).start()}
	published := 0
	publish := func(n int) {
		for range n {
			servers[published%2].Publish(Batch{N: 1, Raw: fmt.Append(nil, published)})
			published++
		}
	}
	publish(20)
	order := make([][]string, len(servers))
	for i := range servers {
		for range published {
			order[i] = append(order[i], string((<-servers[i].batches).Raw))
		}
	}
	master, _ := c.owner()
	checktest.Try(c.nodes[master].Do("WAIT", 1, 0)).Must(t)
	before := published
	publish(20)
	c.servers[master].Kill()
	publish(20)
	for _, n := range servers {
		n.says(t, " is away ")
	}
	publish(20)
	for _, n := range servers {
		n.says(t, " is back ")
		checktest.Eventually(t, "all events are in the cluster", n.Idle)
	}
	servers[0].Publish(Batch{N: 1, Raw: fmt.Append(nil, "last")})
	after := 0
	for i := range servers {
		for text := ""; text != "last"; {
			text = string((<-servers[i].batches).Raw)
			order[i] = append(order[i], text)
		}
		seen := map[string]bool{}
		for _, text := range order[i] {
			checktest.Truef(t, !seen[text], "server %d: event %s came twice", i, text)
			seen[text] = true
		}
		for n := range published {
			if n < before || n >= before+40 {
				checktest.Truef(t, seen[fmt.Sprint(n)], "server %d lacks event %d", i, n)
			}
		}
		after += len(order[i])
	}
	both := func(texts, others []string) []string {
		return slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return !slices.Contains(others, text) })
	}
	checktest.Equal(t, both(order[0], order[1]), both(order[1], order[0]))
	t.Logf("%d of %d deliveries", after, 2*(published+1))
}
