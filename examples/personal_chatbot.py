"""A personalised chatbot in plain Python: a persona, several users, forgetting, and a copy to take away."""

from common import MODEL, STORE

from loma_memory import Chatbot
from loma_memory.engine.replies import ReplySettings

PERSONA = "You are Momo, a cheerful cook who answers in one sentence."

with Chatbot(MODEL, store=STORE, system=PERSONA, settings=ReplySettings(max_tokens=40)) as bot:
    for name, facts in {"ada": "I'm allergic to nuts.", "bob": "I love spicy food."}.items():
        user = bot.session("cook-" + name)
        user.send(f"My name is {name.title()}. {facts}")
        print(f"{name}: {user.send('What should I cook tonight?')}")

    ada = bot.session("cook-ada")
    ada.remember("Ada's brother Tom visits on Sundays.")
    print(ada.stats())

    ada.forget(1)  # the turn is gone from transcript and memory, and later turns are read as if it never was
    print([message.text for message in ada.history()])

    copy = bot.store.export_session(ada.head)
    print(f"{len(copy)} bytes to take away")
    for name in ("cook-ada", "cook-bob"):
        bot.store.delete_session(name)
