"""Holds Ethernet frames between a host's cable and its switch port: a link's delay, where the kernel has no netem.

relay.py CABLE PORT SECONDS: CABLE is the switch's end of a veth pair, PORT the name of a tap device to make. Frames keep
their virtio-net headers, so that those of segmentation offload pass whole. Prints "ready" once it relays.
"""

import collections
import fcntl
import gc
import os
import select
import signal
import socket
import struct
import sys
import time

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING, ETH_P_ALL = 263, 15, 23, 3
LONGEST_QUEUE, LARGEST_FRAME, FRAMES_A_TURN = 20000, 1 << 17, 64


def main() -> None:
    cable_name, port_name, delay = sys.argv[1], sys.argv[2], float(sys.argv[3])
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    gc.disable()
    port = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(port, TUNSETIFF, struct.pack("16sH22x", port_name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(port, TUNSETOFFLOAD, 0x1 | 0x2 | 0x4)  # checksums, segmentation of TCP over IPv4 and IPv6
    cable = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    cable.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    cable.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    cable.bind((cable_name, ETH_P_ALL))
    cable.setblocking(False)
    up, down = collections.deque(), collections.deque()  # of (due, frame)
    print("ready", flush=True)
    while True:
        due = min((queue[0][0] for queue in (up, down) if queue), default=None)
        wait = None if due is None else max(0.0, due - time.monotonic())
        readable, _, _ = select.select([cable.fileno(), port], [], [], wait)
        for descriptor, queue in ((cable.fileno(), up), (port, down)):
            for _ in range(FRAMES_A_TURN if descriptor in readable else 0):
                try:
                    frame = os.read(descriptor, LARGEST_FRAME)
                except OSError:
                    break
                if len(queue) < LONGEST_QUEUE:
                    queue.append((time.monotonic() + delay, frame))
        now = time.monotonic()
        for queue, descriptor in ((up, port), (down, cable.fileno())):
            while queue and queue[0][0] <= now:
                try:
                    os.write(descriptor, queue.popleft()[1])
                except OSError:
                    pass  # a full queue drops, like any link


main()
