package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Network is machines on this one: each is a network namespace with an address
// of its own, and all, this machine too, hang on one switch, a bridge in a
// namespace of its own, where no firewall of this machine's has a say.
type Network struct {
	id       string
	subnet   string // without the last byte
	machines int
	cuts     [][2]int
}

// Hub is this machine's own number in a network.
const Hub = -1

// spacePrefix is of the names of our namespaces; the process's id follows.
const spacePrefix = "slipway-"

var networks atomic.Int32 // of this process

// NewNetwork makes a network; Close takes it away. It needs root, iproute2 and
// a kernel with network namespaces, and says which of them is missing.
func NewNetwork(machines int) (*Network, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("make a network: network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, fmt.Errorf("make a network: iproute2 is missing: %w", err)
	}
	sweepNetworks()
	count := int(networks.Add(1))
	number := os.Getpid()*7 + count // others' tests have others
	n := &Network{
		id: fmt.Sprintf("%d-%d", os.Getpid(), count), machines: machines,
		subnet: fmt.Sprintf("10.%d.%d.", 64+number/250%128, number%250),
	}
	if err := n.build(); err != nil {
		n.Close()
		return nil, fmt.Errorf("make a network: %w", err)
	}
	return n, nil
}

// space is the namespace of a machine.
func (n *Network) space(i int) string { return fmt.Sprintf("%s%s-%d", spacePrefix, n.id, i) }

func (n *Network) hubSpace() string { return spacePrefix + n.id + "-switch" }

// hubLink is the name of this machine's end; such a name has at most 15 bytes.
func (n *Network) hubLink() string { return "sw" + n.id }

// Address is a machine's.
func (n *Network) Address(i int) string { return n.subnet + strconv.Itoa(11+i) }

func (n *Network) build() error {
	hub := n.hubSpace()
	steps := [][]string{
		{"netns", "add", hub},
		{"-n", hub, "link", "add", "bridge", "type", "bridge"},
		{"-n", hub, "link", "set", "bridge", "up"},
		{"link", "add", n.hubLink(), "type", "veth", "peer", "name", "hub", "netns", hub},
		{"-n", hub, "link", "set", "hub", "master", "bridge", "up"},
		{"addr", "add", n.Address(Hub) + "/24", "dev", n.hubLink()},
		{"link", "set", n.hubLink(), "up"},
	}
	for i := range n.machines {
		space, port := n.space(i), fmt.Sprint("port", i)
		steps = append(steps,
			[]string{"netns", "add", space},
			[]string{"-n", space, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", hub},
			[]string{"-n", hub, "link", "set", port, "master", "bridge", "up"},
			[]string{"-n", space, "addr", "add", n.Address(i) + "/24", "dev", "eth0"},
			[]string{"-n", space, "link", "set", "eth0", "up"},
			[]string{"-n", space, "link", "set", "lo", "up"},
		)
	}
	return ipAll(steps)
}

// Cut takes away the way between two machines, both directions: what is sent
// is lost without a word, and no connection ends by it. Hub is this machine.
func (n *Network) Cut(a, b int) error {
	n.cuts = append(n.cuts, [2]int{a, b})
	// Frames for an address that nobody has.
	return ipAll([][]string{
		n.neighbour(a, "replace", n.Address(b), "lladdr", "02:00:00:00:00:01", "nud", "permanent"),
		n.neighbour(b, "replace", n.Address(a), "lladdr", "02:00:00:00:00:01", "nud", "permanent"),
	})
}

// Isolate cuts a machine from all others, and from this one too where hub says so.
func (n *Network) Isolate(a int, hub bool) error {
	for b := range n.machines {
		if b != a {
			if err := n.Cut(a, b); err != nil {
				return err
			}
		}
	}
	if hub {
		return n.Cut(a, Hub)
	}
	return nil
}

// Mend gives back what was cut.
func (n *Network) Mend() error {
	var steps [][]string
	for _, cut := range n.cuts {
		steps = append(steps, n.neighbour(cut[0], "del", n.Address(cut[1])), n.neighbour(cut[1], "del", n.Address(cut[0])))
	}
	n.cuts = nil
	return ipAll(steps)
}

// neighbour is a command about a machine's table of neighbours.
func (n *Network) neighbour(of int, verb, address string, more ...string) []string {
	if of == Hub {
		return append([]string{"neigh", verb, address, "dev", n.hubLink()}, more...)
	}
	return append([]string{"-n", n.space(of), "neigh", verb, address, "dev", "eth0"}, more...)
}

// Close takes the network away; what runs in it goes on without one.
func (n *Network) Close() {
	for i := range n.machines {
		_ = ipAll([][]string{{"netns", "del", n.space(i)}})
	}
	_ = ipAll([][]string{{"link", "del", n.hubLink()}})
	_ = ipAll([][]string{{"netns", "del", n.hubSpace()}})
}

// sweepNetworks takes away those of processes that were killed.
func sweepNetworks() {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		return // the next step says why
	}
	for line := range strings.Lines(string(out)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, ours := strings.CutPrefix(name, spacePrefix)
		owner, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(owner)
		if ours && err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = ipAll([][]string{{"netns", "del", name}})
		}
	}
}

func ipAll(steps [][]string) error {
	for _, args := range steps {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}
