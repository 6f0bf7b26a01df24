"""In a pod, by ``kubectl exec``: sends one event as a sender of its kind would, and prints what became of it.

once.py https HOST:PORT NAME NUMBER TOKEN AUTHORITY     AUTHORITY is PEM; prints the status, or why there is no TLS
once.py udp HOST:PORT NAME NUMBER
"""

import json
import socket
import ssl
import sys
import urllib.error
import urllib.request


def https(place: str, body: bytes, token: str, authority: str) -> str:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"https://{place}/", body, headers)
    context = ssl.create_default_context(cadata=authority)
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as exc:
        return str(exc.code)
    except urllib.error.URLError as exc:
        return str(exc.reason)


def udp(place: str, body: bytes) -> str:
    host, _, port = place.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(body, (host, int(port)))
    return "sent"


if __name__ == "__main__":
    how, where, name, number, *more = sys.argv[1:]
    event = json.dumps({"s": name, "n": int(number), "message": "one event"}).encode()
    print({"https": https, "udp": udp}[how](where, event, *more))
