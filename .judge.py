import sys,json
sys.path[:0]=["tests/chaos","tests/python","tests/launchers"]
