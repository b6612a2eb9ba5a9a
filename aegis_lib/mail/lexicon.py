"""Words by which mail gives itself away, in the languages of much mail. Data; knows no category and no mail.

Matched against folded text (`aegis_lib.mail.letters`), so all is lower case here. `*` at the end of a phrase
stands for the rest of a word. A phrase is a hint and never enough by itself: strangers know these words too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

READ_CHARACTERS = 6_000
_SCRIPTS_WITHOUT_SPACES = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uff00-\uffef]")


@dataclass(frozen=True)
class Phrases:
    """A set of phrases that mean the same."""

    pattern: re.Pattern[str]

    def found(self, text: str) -> tuple[str, ...]:
        """The different phrases in a folded text, in its order."""
        return tuple(dict.fromkeys(match[0] for match in self.pattern.finditer(text[:READ_CHARACTERS])))

    def __contains__(self, text: str) -> bool:
        return self.pattern.search(text[:READ_CHARACTERS]) is not None


def _phrases(*languages: str) -> Phrases:
    """One line a language, phrases between bars. No repetition without bound: matching takes linear time."""
    phrases = [phrase.strip() for line in languages for phrase in line.split("|") if phrase.strip()]
    spaced = [one for one in phrases if not _SCRIPTS_WITHOUT_SPACES.search(one)]
    unspaced = [one for one in phrases if _SCRIPTS_WITHOUT_SPACES.search(one)]
    parts = [rf"(?<!\w)(?:{_alternatives(spaced)})(?!\w)"]
    if unspaced:
        parts.append(_alternatives(unspaced))
    return Phrases(re.compile("|".join(parts)))


def _alternatives(phrases: Iterable[str]) -> str:
    return "|".join(
        re.escape(phrase).replace(r"\ ", r"\s{1,3}").replace(r"\*", r"\w{0,12}") for phrase in phrases
    )


ASKS = _phrases(
    "could you|can you|would you|will you|please confirm|please reply|please review|please sign|please send|"
    "please let me know|let me know|please approve|please check|please complete|please fill|please pay|"
    "please respond|please provide|please return|please update|please find time|need your|needs your|"
    "action required|action needed|awaiting your|waiting for your|we need you|your approval|your signature|"
    "your feedback|your review|rsvp|requested your review|review requested|assigned to you|do you have|"
    "are you able",
    "könntest du|könnten sie|können sie|kannst du|bitte bestätig*|bitte antwort*|bitte prüf*|"
    "bitte unterschreib*|"
    "bitte schick*|bitte send*|bitte überweis*|bitte gib|bitte geben sie|bitte um|rückmeldung|ich bräuchte|"
    "wir benötigen|wir bitten sie|handlungsbedarf|sag mir|meld dich|passt dir|passt ihnen",
    "pourriez-vous|pouvez-vous|peux-tu|pourrais-tu|merci de|veuillez|dans l'attente de votre|action requise|"
    "nous avons besoin|j'aurais besoin|tiens-moi au courant",
    "podrías|podría|puedes|puede usted|por favor|necesito que|necesitamos que|quedo a la espera|"
    "acción requerida|"
    "te importaría|confírmame|confirme",
    "potresti|potrebbe|puoi|può|per favore|ti chiedo|le chiedo|attendo|in attesa di|si prega di|fammi sapere",
    "poderia|você pode|pode enviar|por gentileza|preciso que|aguardo|favor confirmar|ação necessária",
    "kun je|kunt u|zou je|zou u|graag ontvang*|alstublieft|laat me weten|laat het me weten|actie vereist",
    "proszę o|czy możesz|czy mógłbyś|czy mogłabyś|prosimy o|daj znać|wymagane działanie",
    "kan du|skulle du kunna|vänligen|återkom|hör av dig",
    "пожалуйста|не могли бы|могли бы вы|прошу|просим|подтвердите|сообщите|дайте знать|сможешь",
    "お願いします|お願いいたします|ご確認ください|ご返信|ください|请确认|请回复|请查收|请于|请在|能否|부탁드립니다|회신",
)
DEADLINE = _phrases(
    "deadline|due date|due on|due by|is due|are due|no later than|by tomorrow|by today|by end of|by monday|"
    "by tuesday|by wednesday|by thursday|by friday|by noon|end of day|eod|before friday|before monday|"
    "expires on|"
    "expires in|will expire|last day to|until friday|this week",
    "frist|fällig|fälligkeit*|spätestens|bis zum|bis montag|bis dienstag|bis mittwoch|bis donnerstag|"
    "bis freitag|"
    "bis morgen|bis heute|läuft ab|noch diese woche",
    "échéance|date limite|au plus tard|avant le|avant vendredi|avant lundi|d'ici vendredi|d'ici lundi|"
    "expire le",
    "fecha límite|plazo|vence|antes del|antes de mañana|a más tardar|caduca",
    "scadenza|entro il|entro venerdì|entro lunedì|entro domani|scade",
    "prazo|até sexta|até amanhã|vencimento",
    "uiterlijk|vervaldatum|voor vrijdag|vóór|verloopt",
    "termin płatności|do piątku|do jutra|najpóźniej|upływa",
    "senast|förfaller|förfallodag",
    "срок|не позднее|до пятницы|до завтра|истекает|крайний срок",
    "期限|締め切り|締切|までに|截止|到期|之前完成|마감",
)
INVOICE = _phrases(
    "invoice|invoices|amount due|payment due|balance due|overdue|past due|payment reminder|"
    "outstanding balance|"
    "payable|remittance|bill is ready|your bill",
    "rechnung|rechnungen|mahnung|zahlungserinnerung|zahlbar|offener betrag|zu zahlen*|überweisung",
    "facture|factures|montant à payer|relance|impayé*|à régler",
    "factura|facturas|importe pendiente|pago pendiente|recibo pendiente",
    "fattura|fatture|importo dovuto|pagamento in sospeso|sollecito",
    "fatura|boleto|valor em aberto|pagamento pendente",
    "factuur|facturen|openstaand bedrag|betalingsherinnering|te betalen",
    "faktura|faktury|do zapłaty|płatność|faktura att betala|betalningspåminnelse",
    "счёт на оплату|счет на оплату|к оплате|задолженность|請求書|お支払い|发票|账单|付款|청구서",
)
PAID = _phrases(
    "receipt|payment received|received your payment|thank you for your payment|thanks for your payment|"
    "thank you for your order|order confirm*|has been paid|payment successful|has shipped|was shipped|"
    "out for delivery|has been delivered|delivered|your order|refund*|booking confirm*|e-ticket|itinerary",
    "zahlungseingang|zahlung erhalten|quittung|kassenbon|bestellbestätigung|auftragsbestätigung|versandt|"
    "wurde versendet|zugestellt|buchungsbestätigung|gutschrift|ihre bestellung",
    "reçu|paiement reçu|confirmation de commande|votre commande|expédié*|livré*|remboursement",
    "recibo|pago recibido|confirmación de pedido|su pedido|tu pedido|enviado|entregado|reembolso",
    "ricevuta|pagamento ricevuto|conferma d'ordine|conferma ordine|il tuo ordine|spedito|consegnato|rimborso",
    "pagamento recebido|confirmação do pedido|seu pedido|comprovante",
    "betaling ontvangen|bestelbevestiging|je bestelling|bezorgd|potwierdzenie|zamówienie|kvitto|"
    "orderbekräftelse",
    "чек|оплата получена|заказ оформлен|ваш заказ|領収書|ご注文|発送|订单|收据|已发货|주문",
)
URGENT = _phrases(
    "urgent|urgently|asap|as soon as possible|immediately|right away|emergency|critical|outage|is down|"
    "production down|service down|data loss|right now|call me|within the hour|breach",
    "dringend|eilt|sofort|umgehend|notfall|ausfall|ausgefallen|störung|schnellstmöglich",
    "urgence|urgente|en panne|immédiatement|tout de suite|au plus vite",
    "urgentemente|emergencia|de inmediato|caído|lo antes posible",
    "urgenza|emergenza|subito|il prima possibile|urgência|imediatamente|fora do ar",
    "dringende|spoed|onmiddellijk|pilne|pilnie|natychmiast|awaria|brådskande|omedelbart",
    "срочно|немедленно|авария|не работает|緊急|至急|障害|紧急|立即|긴급",
)
PROMOTION = _phrases(
    "% off|off everything|sale|sales|discount*|coupon*|voucher*|promo code|promotion|free shipping|"
    "free delivery|"
    "limited time|limited offer|special offer|exclusive offer|offer ends|ends tonight|last chance|buy now|"
    "shop now|"
    "order now|deal|deals|best price|save up to|clearance|black friday|cyber monday|free trial|upgrade now|"
    "unlock|webinar|new arrivals|new collection|loyalty points|gift card|bestseller*",
    "rabatt*|gutschein*|sonderangebot*|angebot|angebote|nur noch heute|jetzt kaufen|jetzt sichern|"
    "jetzt bestellen|"
    "sparen sie|schnäppchen|gratisversand|versandkostenfrei|ausverkauf|neue kollektion|prozente",
    "soldes|remise|promotion|offre spéciale|offre exclusive|code promo|livraison offerte|profitez|bons plans|"
    "dernière chance|ventes privées",
    "descuento*|oferta*|rebajas|promoción|envío gratis|cupón|últimas horas|compra ahora|aprovecha",
    "sconto|sconti|offerta|offerte|saldi|spedizione gratuita|codice sconto|ultime ore|acquista ora",
    "desconto*|promoção|frete grátis|cupom|aproveite|compre agora",
    "korting|aanbieding*|gratis verzending|laatste kans|bestel nu|rabat|promocja|wyprzedaż|zniżk*|rea|"
    "erbjudande",
    "скидк*|акция|распродажа|промокод|бесплатная доставка|успейте|"
    "セール|割引|クーポン|送料無料|優惠|优惠|折扣|促销|할인",
)
NEWS = _phrases(
    "newsletter|digest|this week in|weekly|monthly update|issue #*|edition|release notes|changelog|"
    "what's new|"
    "roundup|announcement|minutes of|summary of",
    "wochenüberblick|rundbrief|ausgabe|neuigkeiten|protokoll|zusammenfassung",
    "lettre d'information|infolettre|édition|actualités|compte rendu|boletín|resumen semanal|edición|acta",
    "rassegna|notiziario|edizione|verbale|boletim|resumo semanal|nieuwsbrief|overzicht|biuletyn|nyhetsbrev",
    "рассылка|дайджест|новости|выпуск|ニュースレター|お知らせ|周报|简报|通知",
)
FRAUD = _phrases(
    "verify your account|verify your identity|confirm your account|confirm your password|update your payment|"
    "account has been suspended|account will be suspended|account has been limited|account will be closed|"
    "account has been locked|unusual sign-in|unusual activity|mailbox is full|mailbox quota|password expires|"
    "click here to|you have won|you won|lottery|beneficiary|next of kin|inheritance|million dollars|"
    "million usd|"
    "million euro*|wire transfer|bank officer|strictly confidential|double your|guaranteed profit|"
    "guaranteed return*|"
    "crypto wallet|seed phrase|bitcoin address|i recorded you|recorded you|your webcam|viagra|cialis|"
    "pharmacy|"
    "male enhancement|work from home|earn money|make money|no credit check|risk free|100% free|hot singles|"
    "gift cards|reactivate your|unpaid customs|customs fee|redelivery fee|weight loss|miracle",
    "konto wurde gesperrt|konto wurde eingeschränkt|konto wird gesperrt|bestätigen sie ihre|"
    "ihre daten bestätigen|"
    "daten aktualisieren|gewonnen|erbschaft|millionen euro|schnell geld|zollgebühr*|sicherheitsüberprüfung|"
    "postfach ist voll|potenzmittel|ohne schufa",
    "compte a été suspendu|compte a été bloqué|compte sera suspendu|confirmez vos|vérifiez votre compte|"
    "vous avez gagné|héritage|millions d'euros|frais de douane|colis en attente",
    "cuenta ha sido suspendida|cuenta ha sido bloqueada|verifique su cuenta|confirme sus datos|ha ganado|"
    "herencia|"
    "millones de|ganar dinero",
    "conto è stato sospeso|account è stato sospeso|verifica il tuo account|hai vinto|eredità|"
    "conta foi suspensa|"
    "conta bloqueada|você ganhou|uw rekening is geblokkeerd|account is geblokkeerd|konto zostało zablokowane",
    "аккаунт заблокирован|подтвердите свой|вы выиграли|наследство|лёгкие деньги|"
    "当選しました|アカウントが停止|"
    "账户已被冻结|中奖|点击此处|계정이 정지",
)
TO_MACHINES = _phrases(
    "ignore your rules|ignore all rules|ignore the rules|ignore previous|ignore all previous|ignore prior|"
    "ignore the above|ignore all instructions|ignore your instructions|ignore any instructions|"
    "disregard previous|"
    "disregard all|disregard your|disregard the above|forget your instructions|forget all previous|"
    "system prompt|"
    "you are an ai|you are now an ai|you are a language model|as an ai|new instructions|override your|"
    "classify this email as|classify this mail as|classify this message as|classify as|mark this email as|"
    "label this email as|category: urgent|category urgent|category = urgent|category: informational|"
    "category: action_required|category action_required|email assistant must|assistant must|to the ai|"
    "attention ai|dear ai|note to the assistant|note to ai|instructions for the ai|<system>|[system]|"
    "### instruction",
    "ignoriere alle|ignoriere deine|ignoriere die regeln|ignorieren sie alle|vergiss alle|"
    "kategorie: dringend|"
    "ordne diese mail als|systemprompt|als ki",
    "ignore les instructions|ignorez les instructions|ignorez toutes|ignore toutes|catégorie : urgent|"
    "ignora las instrucciones|ignora todas|categoría: urgente|ignora le istruzioni|ignora tutte|"
    "ignore as instruções|negeer alle|zignoruj wszystkie",
    "игнорируй все|игнорируй предыдущие|забудь инструкции|категория: срочно|"
    "忽略以上|忽略之前|忽略所有|指示を無視|"
    "以前の指示を無視",
)
ABSENCE = _phrases(
    "out of office|out of the office|automatic reply|auto-reply|autoreply|auto reply|on vacation|on leave",
    "abwesenheit*|automatische antwort|abwesend|im urlaub|nicht im büro",
    "absence du bureau|réponse automatique|absent du|fuera de la oficina|respuesta automática|"
    "fuori ufficio|risposta automatica|resposta automática|ausência|afwezig*|automatisch antwoord|"
    "autoodpowiedź|nieobecność|autosvar|frånvaro*|автоответ|отпуске|自動返信|不在|自动回复|外出",
)
BOUNCE = _phrases(
    "undelivered mail|undeliverable|delivery status notification|delivery failure|mail delivery failed|"
    "returned mail|failure notice|delivery incomplete|unzustellbar|nicht zugestellt|non remis|"
    "non distribuable|"
    "no se puede entregar|no entregado|mancato recapito|impossibile recapitare|onbestelbaar|недоставлен*|"
    "配信不能|退信",
)
CODE = _phrases(
    "verification code|security code|one-time code|one-time password|login code|sign-in code|"
    "confirmation code|"
    "access code|passcode|otp|sicherheitscode|bestätigungscode|anmeldecode|einmalcode|code de vérification|"
    "code de sécurité|código de verificación|código de seguridad|codice di verifica|código de verificação|"
    "verificatiecode|kod weryfikacyjny|код подтверждения|確認コード|認証コード|验证码|인증번호",
)
CANCELLED = _phrases(
    "cancelled|canceled|cancelled event|accepted|declined|tentative|tentatively accepted|abgesagt|zugesagt|"
    "abgelehnt|angenommen|annulé*|accepté|refusé|cancelado|aceptado|rechazado|annullato|accettato|rifiutato|"
    "geannuleerd|geaccepteerd|odwołan*|отменено|принято",
)
