print("mptcp")
