// Asks Picket's agent over its socket, and once more while it is away and there is time.
//
// **Invariant:** every wait ends with the deadline that it was given.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	firstPause = 20 * time.Millisecond
	lastPause  = 250 * time.Millisecond
	// The agent answers so long before the deadline, so that what it says arrives.
	margin     = 300 * time.Millisecond
	mostAnswer = 64 * 1024
)

type request struct {
	Namespace      string   `json:"namespace,omitempty"`
	Name           string   `json:"name,omitempty"`
	UID            string   `json:"uid,omitempty"`
	ContainerID    string   `json:"containerId"`
	Netns          string   `json:"netns,omitempty"`
	Ifname         string   `json:"ifname"`
	Addresses      []string `json:"addresses,omitempty"`
	HostInterfaces []string `json:"hostInterfaces,omitempty"`
	TimeoutMs      int64    `json:"timeoutMs,omitempty"`
}

func requestOf(s sandbox, p *pod, g *given) request {
	made := request{ContainerID: s.containerID, Netns: s.netns, Ifname: s.ifname}
	if p != nil {
		made.Namespace, made.Name, made.UID = p.namespace, p.name, p.uid
	}
	if g != nil {
		made.Addresses, made.HostInterfaces = g.addresses, g.hostInterfaces
	}
	return made
}

// ask tries until the agent has answered or the deadline is over.
func ask(c *config, method, path string, what request, deadline time.Time) *cniError {
	pause := firstPause
	for {
		failure := askOnce(c, method, path, what, deadline)
		left := time.Until(deadline)
		if failure == nil || !failure.away || left <= firstPause {
			return failure
		}
		if pause > left-firstPause/2 {
			pause = left - firstPause/2
		}
		time.Sleep(pause)
		if pause *= 2; pause > lastPause {
			pause = lastPause
		}
	}
}

// askOnce gives nil where the agent said yes. What nobody answered is `away`, and `late`.
func askOnce(c *config, method, path string, what request, deadline time.Time) *cniError {
	left := time.Until(deadline) - margin
	if left < shortestTimeout/2 {
		left = shortestTimeout / 2
	}
	what.TimeoutMs = left.Milliseconds()
	status, said, err := send(c.Socket, method, path, what, deadline)
	switch {
	case err != nil:
		return away(c, what, err.Error())
	case status == http.StatusOK:
		return nil
	case status == http.StatusGatewayTimeout && path == "/gate/check":
		return failed(c.CNIVersion, codeNotProgrammed, said, "the pod's policies are not enforced; look at the problems in the status of Picket's agent on this node")
	case status == http.StatusGatewayTimeout:
		late := failed(c.CNIVersion, codeTryAgain, said, notStarted+"; kubelet tries again by itself")
		late.late = true
		return late
	case status == http.StatusBadRequest || status == http.StatusConflict || status == http.StatusRequestEntityTooLarge:
		return failed(c.CNIVersion, codeRefused, "Picket's agent refused: "+said, "")
	}
	return away(c, what, fmt.Sprintf("it answered %d: %s (is it older than this plugin?)", status, said))
}

const notStarted = "the pod is not started, so that no packet of it passes unjudged"

func away(c *config, what request, why string) *cniError {
	whose := "container " + what.ContainerID
	if what.Name != "" {
		whose = "pod " + what.Namespace + "/" + what.Name
	}
	failure := failed(c.CNIVersion, codeTryAgain, fmt.Sprintf("%s: no answer of Picket's agent on %s within %s: %s", whose, c.Socket, c.timeout, why),
		notStarted+"; see that Picket's agent runs on this node and what its log says; to start pods without it, set onTimeout to allow in picket-cni's entry of the conflist, or take the entry out with picket cni remove")
	failure.late = true
	failure.away = true
	return failure
}

// send gives the status and what was said with it.
func send(socket, method, path string, what request, deadline time.Time) (int, string, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return 0, "", err
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	message, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	message.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(message)
	if err != nil {
		return 0, "", plain(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	if err != nil {
		return 0, "", err
	}
	var refusal struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(said, &refusal) != nil || refusal.Error == "" {
		refusal.Error = string(bytes.TrimSpace(said))
	}
	return answer.StatusCode, refusal.Error, nil
}

// plain leaves out the address that was made up for HTTP.
func plain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("it takes the request and does not answer")
	}
	if inner, ok := err.(interface{ Unwrap() error }); ok && inner.Unwrap() != nil {
		return inner.Unwrap()
	}
	return err
}
