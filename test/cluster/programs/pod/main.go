// Command pod is what runs in the test cluster's pods: the sandbox's process, servers that say who they are, and a client
// that calls from the first moment on.
//
//	pod pause
//	pod serve PORT/PROTOCOL...           each answer is this pod's name; on TCP a request line "GET " is answered as HTTP
//	pod call ADDRESS PORT/PROTOCOL...    calls each 100 times, 10 ms apart, from the start of the process; one JSON line each
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	calls    = 100
	interval = 10 * time.Millisecond
	patience = time.Second
)

func main() {
	args := os.Args[1:]
	switch {
	case len(args) >= 1 && args[0] == "pause":
		pause()
	case len(args) >= 2 && args[0] == "serve":
		for _, place := range args[1:] {
			serve(place)
		}
		pause()
	case len(args) >= 3 && args[0] == "call":
		callAll(args[1], args[2:])
		pause()
	default:
		fail("expected pause, serve PORT/PROTOCOL..., or call ADDRESS PORT/PROTOCOL...")
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "pod: "+format+"\n", args...)
	os.Exit(2)
}

// pause waits for the end; as the first process of its namespace it buries what others leave behind.
func pause() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCHLD)
	for one := range signals {
		if one != syscall.SIGCHLD {
			os.Exit(0)
		}
		for {
			if pid, _ := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 {
				break
			}
		}
	}
}

func split(place string) (port, protocol string) {
	port, protocol, ok := strings.Cut(place, "/")
	if !ok || (protocol != "tcp" && protocol != "udp") {
		fail("%s: expected PORT/tcp or PORT/udp", place)
	}
	return port, protocol
}

func serve(place string) {
	port, protocol := split(place)
	name, err := os.Hostname()
	if err != nil {
		fail("hostname: %v", err)
	}
	if protocol == "udp" {
		connection, err := net.ListenPacket("udp", ":"+port)
		if err != nil {
			fail("%s: %v", place, err)
		}
		go func() {
			buffer := make([]byte, 2048)
			for {
				_, from, err := connection.ReadFrom(buffer)
				if err == nil {
					connection.WriteTo([]byte(name), from)
				}
			}
		}()
		return
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fail("%s: %v", place, err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err == nil {
				go answer(connection, name)
			}
		}
	}()
}

func answer(connection net.Conn, name string) {
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(10 * time.Second))
	buffer := make([]byte, 2048)
	count, err := connection.Read(buffer)
	if err != nil {
		return
	}
	if strings.HasPrefix(string(buffer[:count]), "GET ") {
		fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s\n", len(name)+1, name)
		return
	}
	connection.Write([]byte(name))
}

// Called is what became of the calls to one place, in their order: true for an answer.
type Called struct {
	Place    string `json:"place"`
	Answered []bool `json:"answered"`
}

func callAll(address string, places []string) {
	began := time.Now()
	var group sync.WaitGroup
	results := make([]Called, len(places))
	for index, place := range places {
		port, protocol := split(place)
		results[index] = Called{Place: place, Answered: make([]bool, calls)}
		for number := 0; number < calls; number++ {
			group.Add(1)
			go func() {
				defer group.Done()
				time.Sleep(time.Until(began.Add(time.Duration(number) * interval)))
				results[index].Answered[number] = call(protocol, net.JoinHostPort(address, port))
			}()
		}
	}
	group.Wait()
	for _, result := range results {
		line, _ := json.Marshal(result)
		fmt.Println(string(line))
	}
}

func call(protocol, target string) bool {
	connection, err := net.DialTimeout(protocol, target, patience)
	if err != nil {
		return false
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(patience))
	if _, err := connection.Write([]byte("who-are-you\n")); err != nil {
		return false
	}
	count, _ := connection.Read(make([]byte, 256))
	return count > 0
}
