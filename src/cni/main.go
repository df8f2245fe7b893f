// Command picket-cni is the pod-start gate: a chained CNI plugin that tells Picket's agent what a pod was given, and lets the
// pod start when the kernel judges its packets by its policies.
//
// runtime -> environment and stdin -> this -> POST /gate/pods on the agent's socket -> prevResult, or an error, on stdout.
//
// **Invariant:** what the plugins before it did is passed on as it came; DEL, GC, STATUS and VERSION never depend on the agent.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
)

// Set by the build: -ldflags "-X main.version=...".
var version = "unknown"

// No configuration is as large as this.
const mostStdin = 1 << 20

// run is what a runtime sees: the result on stdout, notes on stderr, and an error that is to be printed and ends with status 1.
type run struct {
	env    environment
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

func main() {
	r := run{env: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	if os.Getenv("CNI_COMMAND") == "" && len(os.Args) > 1 {
		os.Exit(r.byHand(os.Args[1]))
	}
	if failure := r.command(); failure != nil {
		printed, _ := json.Marshal(failure)
		fmt.Fprintln(r.stdout, string(printed))
		os.Exit(1)
	}
}

func (r run) byHand(argument string) int {
	if argument == "--version" || argument == "version" {
		fmt.Fprintf(r.stdout, "picket-cni %s (CNI %s)\n", version, supportedList())
		return 0
	}
	fmt.Fprintf(r.stderr, "picket-cni: %q: expected --version; it is a CNI plugin, which a container runtime starts with CNI_COMMAND in the environment\n", argument)
	return 2
}

func (r run) command() *cniError {
	command := r.env("CNI_COMMAND")
	switch command {
	case "ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION":
	case "":
		return failed(newest, codeEnvironment, "CNI_COMMAND is not set: expected ADD, DEL, CHECK, GC, STATUS or VERSION", "")
	default:
		return failed(newest, codeEnvironment, fmt.Sprintf("CNI_COMMAND: found %q, expected ADD, DEL, CHECK, GC, STATUS or VERSION", command), "")
	}
	input, err := io.ReadAll(io.LimitReader(r.stdin, mostStdin+1))
	if err != nil {
		return failed(newest, codeIO, "the network configuration cannot be read from stdin", err.Error())
	}
	if len(input) > mostStdin {
		return failed(newest, codeDecode, fmt.Sprintf("stdin: expected a network configuration of at most %d bytes", mostStdin), "")
	}
	if command == "VERSION" {
		return r.version(input)
	}
	config, failure := readConfig(input)
	if failure != nil {
		return failure
	}
	switch command {
	case "ADD":
		return r.add(config)
	case "DEL":
		return r.del(config)
	case "CHECK":
		return r.check(config)
	}
	// GC: the agent drops entries with their interfaces and pods. STATUS: an agent that is being replaced must not make the node NotReady.
	return nil
}

func (r run) version(input []byte) *cniError {
	var asked struct {
		CNIVersion string `json:"cniVersion"`
	}
	if len(input) > 0 {
		if err := json.Unmarshal(input, &asked); err != nil {
			return failed(newest, codeDecode, "stdin: expected a JSON object with cniVersion", err.Error())
		}
	}
	if asked.CNIVersion == "" {
		asked.CNIVersion = newest
	}
	answer, _ := json.Marshal(map[string]interface{}{"cniVersion": asked.CNIVersion, "supportedVersions": supported})
	fmt.Fprintln(r.stdout, string(answer))
	return nil
}

func (r run) add(config *config) *cniError {
	deadline := time.Now().Add(config.timeout)
	sandbox, failure := readSandbox(r.env, config.CNIVersion, true)
	if failure != nil {
		return failure
	}
	given, failure := config.previous("ADD")
	if failure != nil {
		return failure
	}
	pod, failure := readPod(r.env, config.CNIVersion)
	if failure != nil {
		return failure
	}
	switch {
	case pod == nil:
		fmt.Fprintln(r.stderr, "picket-cni: no pod of Kubernetes (no K8S_POD_NAME in CNI_ARGS): passed on as it is")
	case len(given.addresses) == 0:
		fmt.Fprintf(r.stderr, "picket-cni: pod %s/%s has no address in prevResult: passed on as it is\n", pod.namespace, pod.name)
	default:
		failure := ask(config, "POST", "/gate/pods", requestOf(*sandbox, pod, given), deadline)
		if failure != nil && failure.late && config.allow {
			fmt.Fprintf(r.stderr, "picket-cni: %s; %s; onTimeout is allow: the pod starts, and policy applies as soon as the agent has it\n", failure.Msg, failure.Details)
		} else if failure != nil {
			return failure
		}
	}
	fmt.Fprintln(r.stdout, string(given.result))
	return nil
}

// del never fails because of the agent: it drops what it was told with the pod's interface, too.
func (r run) del(config *config) *cniError {
	sandbox, failure := readSandbox(r.env, config.CNIVersion, false)
	if failure != nil {
		return failure
	}
	if failure := askOnce(config, "DELETE", "/gate/pods", requestOf(*sandbox, nil, nil), time.Now().Add(2*time.Second)); failure != nil {
		fmt.Fprintf(r.stderr, "picket-cni: %s; %s; the agent finds it out by itself\n", failure.Msg, failure.Details)
	}
	return nil
}

// check fails where the agent says that the pod is not programmed. Without an agent it passes: the kernel keeps its rules
// meanwhile, and to a runtime a failed CHECK may mean that the container is broken for ever.
func (r run) check(config *config) *cniError {
	deadline := time.Now().Add(config.timeout)
	sandbox, failure := readSandbox(r.env, config.CNIVersion, true)
	if failure != nil {
		return failure
	}
	given, failure := config.previous("CHECK")
	if failure != nil {
		return failure
	}
	pod, failure := readPod(r.env, config.CNIVersion)
	if failure != nil || pod == nil || len(given.addresses) == 0 {
		return failure
	}
	failure = askOnce(config, "POST", "/gate/check", requestOf(*sandbox, pod, given), deadline)
	if failure != nil && failure.away {
		fmt.Fprintf(r.stderr, "picket-cni: %s; %s; the kernel keeps the rules that it has\n", failure.Msg, failure.Details)
		return nil
	}
	return failure
}
