package pool

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/mna/redisc"
)

// A request is sent at most clusterTries times while the cluster moves the keys to another node.
const (
	clusterTries = 8
	clusterPause = 100 * time.Millisecond
)

// connectCluster connects to the node that has the key. The node is asked for again at each connection, because another
// one may have replaced it. The connection follows the keys if they move to another node.
func (a *BrokerAddress) connectCluster(ctx context.Context, patience time.Duration, key string) (redis.Conn, error) {
	c := &redisc.Cluster{StartupNodes: a.hosts, DialOptions: a.options(ctx, patience, a.login()...)}
	if err := c.Refresh(); err != nil {
		return nil, a.reasonOf(ctx, err)
	}
	conn := c.Get()
	err := redisc.BindConn(conn, key)
	var retry redis.Conn
	if err == nil {
		retry, err = redisc.RetryConn(conn, clusterTries, clusterPause)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return clusterConn{conn, retry}, nil
}

// A clusterConn sends requests to the node that has the keys now. Its other methods, such as those for subscriptions,
// use the node that had the keys when the connection was opened: a cluster passes messages on to all of its nodes.
type clusterConn struct {
	redis.Conn
	retry redis.Conn
}

func (c clusterConn) Do(name string, args ...any) (any, error) { return c.retry.Do(name, args...) }

// reasonOf returns the error of the first node, because redisc joins the errors of all nodes in several lines.
func (a *BrokerAddress) reasonOf(ctx context.Context, joined error) error {
	c, err := a.dial(ctx, a.hosts[0], answerWithin, a.login()...)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err = c.Do("CLUSTER", "SLOTS"); err != nil {
		return err
	}
	return joined
}

// nodeAddress adds the brackets of an IPv6 address, which nodes of a cluster leave out.
func nodeAddress(address string) string {
	if i := strings.LastIndexByte(address, ':'); strings.Contains(address[:max(i, 0)], ":") && address[0] != '[' {
		return net.JoinHostPort(address[:i], address[i+1:])
	}
	return address
}
